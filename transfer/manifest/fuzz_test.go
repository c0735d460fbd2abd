package manifest

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// seed adds inputs of which the first must be accepted: a stale one would search
// nothing.
func seed(f *testing.F, accepted bool, good []byte, more ...[]byte) {
	f.Helper()
	if len(good) == 0 || !accepted {
		f.Fatalf("the seed is not accepted: %.200q", good)
	}
	f.Add(good)
	for _, b := range more {
		f.Add(b)
	}
}

// comesBack fuzzes a document: what is accepted is what its marshaller writes.
func comesBack(f *testing.F, name string) {
	d := find(name)
	good, err := d.marshal(d.valid())
	must(f, err)
	_, err = d.parse(good)
	seed(f, err == nil, good, bytes.ToUpper(good), bytes.ReplaceAll(good, []byte(`"`), []byte(`'`)), []byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := d.parse(b)
		if (v == nil) != (err != nil) {
			t.Fatalf("%v with %v", v, err)
		}
		if err != nil {
			return
		}
		if again, err := d.marshal(v); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q became %q, %v", b, again, err)
		}
	})
}

func FuzzParseStatement(f *testing.F) { comesBack(f, "statement") }
func FuzzParseReceipt(f *testing.F)   { comesBack(f, "receipt") }
func FuzzParseKeySet(f *testing.F)    { comesBack(f, "key set") }
func FuzzParseDetails(f *testing.F)   { comesBack(f, "details") }

func FuzzIndexReader(f *testing.F) {
	good := indexOf(f, folderEntry("a"), leftOut("a/b"), at(fileEntry("a/\x8e\xd0"), 1, 512), otherEntry("link"), at(fileEntry("z"), 2, 0))
	_, err := readIndex(bytes.NewReader(good), transferID)
	seed(f, err == nil, good, rawIndex(), rawIndex(fileEntry("b"), fileEntry("a")), bytes.ToUpper(good))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := readIndex(bytes.NewReader(b), transferID)
		if err == nil {
			if again := indexOf(t, entries...); !bytes.Equal(again, b) {
				t.Fatalf("%q became %q", b, again)
			}
		}
		for _, e := range entries { // also those before an error are extracted
			if data, err := Header(e); err != nil || !bytes.Equal(data, headerByRule(e)) {
				t.Fatalf("%q has another header: %v", e.Path, err)
			}
			if n := bytes.Count(FileSum(e), []byte("\n")); n != 1 {
				t.Fatalf("%q has %d lines in the list", e.Path, n)
			}
		}
	})
}

func FuzzParseSums(f *testing.F) {
	names := PartNames(2)
	good := MarshalSums([]Sum{{names[0], hashOf("a")}, {names[1], hashOf("b")}})
	_, err := ParseSums(good, names)
	seed(f, err == nil, good, bytes.ToUpper(good), good[:80], append([]byte(`\`), good...))
	f.Fuzz(func(t *testing.T, b []byte) {
		sums, err := ParseSums(b, names)
		if (sums == nil) != (err != nil) {
			t.Fatalf("%v with %v", sums, err)
		}
		if err == nil && !bytes.Equal(MarshalSums([]Sum{{names[0], sums[0]}, {names[1], sums[1]}}), b) {
			t.Fatalf("%q is accepted", b)
		}
	})
}

func FuzzParseHash(f *testing.F) {
	good := hashOf("x").String()
	_, err := ParseHash(good)
	seed(f, err == nil, []byte(good), bytes.ToUpper([]byte(good)), []byte("00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHash(string(b)); (err == nil) != (h.String() == string(b)) || err != nil && h != (Hash{}) {
			t.Fatalf("%q became %s, %v", b, h, err)
		}
	})
}

func FuzzValidID(f *testing.F) {
	seed(f, ValidID(transferID), []byte(transferID), []byte("20261122T1212Z-a-b-000001"), []byte("99991231T2359Z-k-0000001"), []byte("20261122T12:12Z-k-000001"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := string(b)
		if !ValidID(s) {
			return
		}
		if again := idByParts(t, s); again != s {
			t.Fatalf("%q is the id %q", s, again)
		}
		for _, c := range b {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				t.Fatalf("%q holds %q", s, c)
			}
		}
	})
}

// idByParts takes an id apart by its columns and puts it together again.
func idByParts(t *testing.T, s string) string {
	var y, mo, d, h, mi int
	if _, err := fmt.Sscanf(s[:14], "%4d%2d%2dT%2d%2dZ", &y, &mo, &d, &h, &mi); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	i := bytes.LastIndexByte([]byte(s), '-')
	n, err := strconv.ParseInt(s[i+1:], 10, 64)
	must(t, err)
	return ID(time.Date(y, time.Month(mo), d, h, mi, 0, 0, time.UTC), s[15:i], n)
}
