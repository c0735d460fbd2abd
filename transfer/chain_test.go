package transfer

import (
	"slices"
	"strings"
	"testing"

	"sekisho/transfer/manifest"
)

// at is the seal at a counter value of a kiosk that sealed after the one at
// previous; 0: after none.
func at(counter, previous uint64, gaps ...uint64) link {
	l := link{counter: counter, statement: statementAt(counter), gaps: gaps}
	if previous > 0 {
		sum := statementAt(previous)
		l.previous = &sum
	}
	return l
}

func statementAt(counter uint64) manifest.Hash {
	return manifest.Hash{byte(counter), byte(counter >> 8), 1}
}

func upTo(first, last uint64) (values []uint64) {
	for n := first; n <= last; n++ {
		values = append(values, n)
	}
	return values
}

// Every situation of the table in history.go, and what fits none of them. The
// kiosk was enrolled at 10.
func TestChain(t *testing.T) {
	for _, c := range []struct {
		name  string
		known []link
		next  link
		want  string // "": it follows
		open  []uint64
	}{
		{"the first", nil, at(11, 0), "", nil},
		{"the first, another program moved the counter before", nil, at(13, 0), "", []uint64{11, 12}},
		{"the first, it names one from before the enrolment", nil, at(11, 9), "", nil},
		{"the second", []link{at(11, 0)}, at(12, 11), "", nil},
		{"the first again", []link{at(11, 0)}, at(12, 0), "names no statement before it, and the vault has one at counter 11", nil},
		{"another before it than the vault has", []link{at(11, 0)}, at(12, 99), "and it names", nil},

		{"a drive is late", []link{at(11, 0)}, at(13, 12), "", []uint64{12}},
		{"two drives are late", []link{at(11, 0)}, at(14, 13), "", []uint64{12, 13}},
		{"and come", []link{at(11, 0), at(13, 12)}, at(12, 11), "", nil},
		{"and come in the other order", []link{at(11, 0), at(14, 13)}, at(13, 12), "", nil},
		{"the last of them comes", []link{at(11, 0), at(13, 12), at(14, 13)}, at(12, 11), "", nil},
		{"the first of all comes late", []link{at(12, 11)}, at(11, 0), "", nil},
		{"something else comes late", []link{at(11, 0), at(13, 12)}, at(12, 0), "names no statement before it", nil},
		{"late, and not what the next follows", []link{at(11, 0), at(13, 99)}, at(12, 11), "counter 13, which the vault has, does not follow it", nil},
		{"late, before the very first", []link{at(13, 0)}, at(12, 11), "counter 13, which the vault has, does not follow it", nil},
		{"late, and it names a later one", []link{at(11, 0), at(14, 13)}, at(13, 14), "names that at counter 14", nil},
		{"a fork", []link{at(11, 0), at(12, 11)}, at(14, 11), "should be that at counter 12, and it names that at counter 11", nil},

		{"power lost between", []link{at(11, 0)}, at(13, 11, 12), "", nil},
		{"power lost after the drive was sealed, which came", []link{at(11, 0), at(12, 11)}, at(13, 11, 12), "", nil},
		{"the same at the very first", []link{at(11, 0)}, at(12, 0, 11), "", nil},
		{"the one after that", []link{at(11, 0), at(12, 11), at(13, 11, 12)}, at(14, 13), "", nil},
		{"the same when the drive comes after, as a copy", []link{at(11, 0), at(13, 11, 12)}, at(12, 11), "", nil},
		{"a gap that is explained, and the statement in it named", []link{at(11, 0), at(12, 11)}, at(13, 12, 12), "names that at counter 12", nil},
		{"a gap that is not explained", []link{at(11, 0)}, at(13, 11), "does not explain all values between", nil},
		{"one of two is explained", []link{at(11, 0)}, at(14, 11, 13), "does not explain all values between", nil},
		{"a gap is explained, the one after it is late", []link{at(11, 0)}, at(15, 14), "", []uint64{12, 13, 14}},
		{"and comes", []link{at(11, 0), at(15, 14)}, at(14, 11, 12, 13), "", nil},
		{"as many as a statement can explain", []link{at(11, 0)}, at(13+manifest.MaxGaps, 11, upTo(12, 11+manifest.MaxGaps)...), "", []uint64{12 + manifest.MaxGaps}},
		{"explained, and another named", []link{at(11, 0)}, at(13, 99, 12), "and it names", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			known := chain{10, c.known}
			err := known.fits(c.next)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if open := known.open(&manifest.Statement{Counter: c.next.counter, Gaps: c.next.gaps}); err == nil && !slices.Equal(open, c.open) {
				t.Errorf("open are %v, want %v", open, c.open)
			}
		})
	}
}

// A break that the vault has already is not held against what comes.
func TestChainAfterABreak(t *testing.T) {
	broken := chain{10, []link{at(11, 0), at(12, 99), at(13, 12)}}
	if err := broken.fits(at(14, 13)); err != nil {
		t.Error(err)
	}
	late := chain{10, []link{at(11, 0), at(14, 11), at(15, 14)}}
	if err := late.fits(at(12, 11)); err != nil {
		t.Error(err)
	}
}

func TestChainOfAnythingDoesNotPanic(t *testing.T) {
	top := ^uint64(0)
	for _, counter := range []uint64{11, 12, top - 1, top} {
		for _, previous := range []uint64{0, 11, 12, 99} {
			for _, gaps := range [][]uint64{nil, {1}, {10, 11}, {11, 12}, {top - 1}} {
				gaps = slices.DeleteFunc(slices.Clone(gaps), func(n uint64) bool { return n >= counter })
				next := at(counter, previous, gaps...)
				for _, known := range [][]link{nil, {at(11, 0)}, {at(11, 0), at(top, 11)}} {
					if slices.ContainsFunc(known, func(l link) bool { return l.counter == counter }) {
						continue // a copy of itself or an alarm, and never asked here
					}
					_ = chain{10, known}.fits(next)
					_ = chain{10, known}.open(&manifest.Statement{Counter: counter, Gaps: gaps})
				}
			}
		}
	}
}
