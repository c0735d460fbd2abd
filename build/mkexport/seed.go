package main

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// seed decides everything that is drawn. Each thing draws from a stream of its
// own, named by a label and numbers, so that adding one kind of file does not
// change the others, and a page of a dump can be made without those before it.
type seed uint64

// rng returns the stream of that name. It is not safe for concurrent use.
func (s seed) rng(label string, n ...int) *rand.Rand {
	b := make([]byte, 0, 64)
	b = binary.LittleEndian.AppendUint64(b, uint64(s))
	for _, v := range n {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	sum := sha256.Sum256(append(b, label...))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])))
}

// Shares of a thousand. What happens to the things of one kind in one night is
// dealt out evenly instead of drawn, so that the shares hold for small profiles too.
const (
	editShare   = 20 // content changes under the same name
	updateShare = 55 // SS-MIX2: _1 becomes _2, a new _1 comes beside
	deleteShare = 20 // SS-MIX2: _1 becomes _0
)

// lot returns the number below 1000 that thing i of a kind is dealt in a night.
// Over any 1000 neighbouring i each number occurs once, over nights as well.
func (s seed) lot(kind string, i, night int) int {
	return (i*617 + night*389 + s.rng("lot/"+kind).IntN(1000)) % 1000
}

// edited returns the last night up to now in which thing i of a kind changed
// its content, 0 when it never did.
func (s seed) edited(kind string, i, now int) int {
	for n := now; n > 1; n-- {
		if s.lot(kind, i, n) < editShare {
			return n
		}
	}
	return 0
}

func pick[T any](r *rand.Rand, list []T) T {
	return list[r.IntN(len(list))]
}

// fill writes bytes that do not compress.
func fill(r *rand.Rand, p []byte) {
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, r.Uint64())
		p = p[8:]
	}
	for i := range p {
		p[i] = byte(r.Uint32())
	}
}
