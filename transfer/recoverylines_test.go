package transfer

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sekisho/transfer/manifest"
)

var checkTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// FuzzReadHeaders: what is accepted is what the writer would write.
func FuzzReadHeaders(f *testing.F) {
	write := func(head checkHead, groups []headersOf, lines [][]headerLine, t testing.TB) []byte {
		var b bytes.Buffer
		w := newLineWriter(&b)
		w.line(head)
		files := 0
		for i, g := range groups {
			w.line(g)
			for _, l := range lines[i] {
				w.line(l)
				files++
			}
		}
		w.line(headersEnd{"headers", len(groups), files})
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	read := func(b []byte) (head checkHead, groups []headersOf, lines [][]headerLine, err error) {
		err = readHeaders(bytes.NewReader(b), func(h checkHead) { head = h }, func(g *headersOf, h *headerLine) error {
			if h == nil {
				groups, lines = append(groups, *g), append(lines, nil)
			} else {
				lines[len(lines)-1] = append(lines[len(lines)-1], *h)
			}
			return nil
		})
		return head, groups, lines, err
	}
	good := write(checkHead{headersFormat, "gate1", checkTime}, []headersOf{{"20261122T2140Z-k3-000001", manifest.Hash{1}, 2}},
		[][]headerLine{{{"data/000001.age", manifest.Hash{2}, "age-encryption.org/v1\n-> mlkem768x25519 a\nb\n--- c\n"}, {"index.jsonl.age", manifest.Hash{3}, "x"}}}, f)
	if _, groups, _, err := read(good); err != nil || len(groups) != 1 {
		f.Fatalf("the seed is not accepted: %v", err)
	}
	f.Add(good)
	f.Add(write(checkHead{headersFormat, "gate1", checkTime}, nil, nil, f))
	f.Add(bytes.ToUpper(good))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, groups, lines, err := read(b)
		if err == nil {
			if again := write(head, groups, lines, t); !bytes.Equal(again, b) {
				t.Fatalf("%q became %q", b, again)
			}
		}
	})
}

func FuzzReadResult(f *testing.F) {
	write := func(head checkHead, groups []resultOf, skipped int, t testing.TB) []byte {
		var b bytes.Buffer
		w := newLineWriter(&b)
		w.line(head)
		end, total := resultEnd{End: "result", Skipped: skipped}, newFold()
		for _, g := range groups {
			w.line(g)
			total.add(g.Proof)
			end.Generations, end.Opened, end.Failed = end.Generations+1, end.Opened+g.Opened, end.Failed+len(g.Failed)
		}
		end.Proof = total.sum()
		w.line(end)
		if err := w.flush(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	read := func(b []byte) (head checkHead, end resultEnd, groups []resultOf, err error) {
		head, end, err = readResult(bytes.NewReader(b), func(g *resultOf) error {
			groups = append(groups, *g)
			return nil
		})
		return head, end, groups, err
	}
	head := checkHead{resultFormat, "gate1", checkTime}
	good := write(head, []resultOf{{"20261122T2140Z-k3-000001", manifest.Hash{1}, 2, []string{}, manifest.Hash{2}}, {"20261122T2140Z-k3-000002", manifest.Hash{1}, 1, []string{"index.jsonl.age"}, manifest.Hash{3}}}, 4, f)
	if _, end, groups, err := read(good); err != nil || len(groups) != 2 || end.Skipped != 4 {
		f.Fatalf("the seed is not accepted: %v", err)
	}
	f.Add(good)
	f.Add(write(head, nil, 0, f))
	f.Add([]byte(strings.Replace(string(good), `"opened":2`, `"opened":3`, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		head, end, groups, err := read(b)
		if err != nil {
			if head != (checkHead{}) || end != (resultEnd{}) {
				t.Fatalf("%+v, %+v with %v", head, end, err)
			}
			return
		}
		if again := write(head, groups, end.Skipped, t); !bytes.Equal(again, b) {
			t.Fatalf("%q became %q", b, again)
		}
	})
}
