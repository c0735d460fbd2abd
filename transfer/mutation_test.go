package transfer_test

import (
	"bytes"
	"encoding/base64"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
)

// sealOn reads a seal's files from a drive with one transfer.
func sealOn(t testing.TB, dir string) (id string, files map[string][]byte) {
	t.Helper()
	ids, err := os.ReadDir(filepath.Join(dir, manifest.Transfers))
	must(t, err)
	id = ids[0].Name()
	folder := filepath.Join(dir, manifest.Transfers, id, manifest.SealDir)
	names, err := os.ReadDir(folder)
	must(t, err)
	files = make(map[string][]byte)
	for _, n := range names {
		files[n.Name()], err = os.ReadFile(filepath.Join(folder, n.Name()))
		must(t, err)
	}
	return id, files
}

// Ten thousand seals that nobody sealed: statement, evidence or envelope is not
// what it was. None is taken, and each is refused for what it is.
func TestMutatedSeals(t *testing.T) {
	const rounds = 12_000
	k := newKiosk(t, "k1")
	k.measured(t, "version 1")
	g := newGate(t, k)
	dir, next := t.TempDir(), t.TempDir()
	newForgery(t, k, 1).put(t, dir)
	newForgery(t, k, 2).put(t, next)
	id, good := sealOn(t, dir)
	_, other := sealOn(t, next)
	in := g.inbound(t, dir)
	must(t, transfer.OpenSeal(&in, id, good))

	m := mutation{rng: rand.New(rand.NewPCG(3, 2026)), good: good, other: other}
	names := slices.Sorted(maps.Keys(good))
	done := make(map[transfer.Reason]int)
	for i := range rounds {
		files := maps.Clone(good)
		name := names[m.rng.IntN(len(names))]
		what := name
		switch {
		case i%3 == 0:
			name, what = manifest.Envelope, "statement"
			files[name] = m.statement()
		case i%3 == 1:
			name, what = manifest.Envelope, "envelope"
			fallthrough
		default:
			files[name] = m.change(good[name], other[name])
		}
		if bytes.Equal(files[name], good[name]) {
			continue // no change
		}
		err := transfer.OpenSeal(&in, id, files)
		if err == nil {
			t.Fatalf("round %d: accepted with another %s: %q", i, what, files[name])
		}
		r := transfer.AsRefusal(err, transfer.Failed)
		if r.Reason != transfer.BadSeal && r.Reason != transfer.UnknownKiosk {
			t.Errorf("round %d, another %s: %v", i, what, r)
		}
		done[r.Reason]++
	}
	if n := done[transfer.BadSeal] + done[transfer.UnknownKiosk]; n < 10_000 {
		t.Errorf("only %d were other than the good one", n)
	}
	t.Log(done)
	must(t, transfer.OpenSeal(&in, id, good)) // it was the mutations
}

// mutation changes a seal at random.
type mutation struct {
	rng         *rand.Rand
	good, other map[string][]byte
}

// statement changes the statement within its envelope.
func (m *mutation) statement() []byte {
	envelope := m.good[manifest.Envelope]
	text, err := base64.StdEncoding.DecodeString(string(payload(envelope)))
	if err != nil {
		panic(err)
	}
	another, err := base64.StdEncoding.DecodeString(string(payload(m.other[manifest.Envelope])))
	if err != nil {
		panic(err)
	}
	changed := base64.StdEncoding.EncodeToString(m.change(text, another))
	return bytes.Replace(envelope, payload(envelope), []byte(changed), 1)
}

// payload is the part of an envelope that holds the statement.
func payload(envelope []byte) []byte {
	_, rest, _ := bytes.Cut(envelope, []byte(`"payload":"`))
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	return text
}

// change returns other bytes than data, or, seldom, the same.
func (m *mutation) change(data, other []byte) []byte {
	data = bytes.Clone(data)
	at := m.rng.IntN(len(data))
	to := min(at+1+m.rng.IntN(40), len(data))
	switch m.rng.IntN(10) {
	case 0, 1, 2:
		data[at] ^= 1 << m.rng.IntN(8)
	case 3:
		data[at] = byte(m.rng.IntN(256))
	case 4:
		data = slices.Delete(data, at, to)
	case 5:
		data = slices.Insert(data, at, data[at:to]...)
	case 6:
		clear(data[at:to])
	case 7: // a piece of the other's
		copy(data[at:to], other[min(at, len(other)):min(to, len(other))])
	case 8: // digits stay digits, letters letters
		for i := at; i < len(data); i++ {
			if c := data[i]; '0' <= c && c <= '9' {
				data[i] = '0' + (c-'0'+byte(1+m.rng.IntN(9)))%10
				break
			}
		}
	case 9:
		names := slices.Sorted(maps.Keys(m.good))
		data = bytes.Clone([]map[string][]byte{m.good, m.other}[m.rng.IntN(2)][names[m.rng.IntN(len(names))]])
	}
	return data
}
