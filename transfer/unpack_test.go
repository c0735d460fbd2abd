package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sekisho/transfer/manifest"
)

// packed is an index and the plaintexts of its parts: a folder, a file of each
// kind, one that runs from the first part through the second into the third, and
// one that was left out.
type packed struct {
	index []byte
	parts [][]byte
	files map[manifest.Path]string
}

const packedID = "20261122T2140Z-k1-000001"

func newPacked(t testing.TB) *packed {
	t.Helper()
	when := time.Date(2026, 11, 22, 21, 40, 0, 5, time.UTC)
	p := &packed{files: map[manifest.Path]string{
		"a/empty": "", "a/one": "x", "a/spans": string(bytes.Repeat([]byte("0123456789"), 300)), "b": string(bytes.Repeat([]byte("b"), 512)),
	}}
	var index bytes.Buffer
	w, err := manifest.NewIndexWriter(&index, packedID)
	if err != nil {
		t.Fatal(err)
	}
	part := []byte{}
	end := func() { p.parts, part = append(p.parts, part), []byte{} }
	for _, e := range []manifest.Entry{
		{Path: "a", Type: manifest.Folder}, {Path: "a/empty"}, {Path: "a/left"}, {Path: "a/one"}, {Path: "a/spans"}, {Path: "b"}, {Path: "c", Type: manifest.Folder},
	} {
		e.ModTime = when
		content, carried := p.files[e.Path]
		switch {
		case e.Type == manifest.Folder:
		case carried:
			sum := manifest.Hash(sha256.Sum256([]byte(content)))
			e.Type, e.Verdict, e.Size, e.SHA256 = manifest.File, manifest.Clean, int64(len(content)), &sum
		default:
			e.Type, e.Verdict, e.Findings = manifest.File, manifest.Detected, []manifest.Finding{{Engine: "x", Name: "y"}}
		}
		if e.Type == manifest.Folder || carried {
			if e.Path == "b" {
				end()
			}
			e.Part, e.Offset = len(p.parts)+1, int64(len(part))
			header, err := manifest.Header(&e)
			if err != nil {
				t.Fatal(err)
			}
			part = append(part, header...)
			for len(content) > 1000 {
				part = append(part, content[:1000]...)
				content = content[1000:]
				end()
			}
			part = append(append(part, content...), make([]byte, manifest.Padding(e.Size))...)
		}
		if err := w.Write(&e); err != nil {
			t.Fatal(err)
		}
	}
	part = append(part, manifest.Trailer...)
	end()
	p.index = index.Bytes()
	return p
}

// unpack runs the parts through unpack and returns the files that came out.
func (p *packed) unpack(t testing.TB, parts [][]byte) (map[manifest.Path]string, error) {
	t.Helper()
	index, err := manifest.NewIndexReader(bytes.NewReader(p.index), packedID)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[manifest.Path]string)
	asked, open := 0, 0
	err = unpack(index, len(parts), func(n int) (io.ReadCloser, error) {
		asked++
		if n != asked || n > len(parts) || open != 0 {
			t.Fatalf("part %d of %d was opened as the %dth with %d open", n, len(parts), asked, open)
		}
		open++
		return closing{bytes.NewReader(parts[n-1]), func() { open-- }}, nil
	}, func(e *manifest.Entry, content io.Reader) (manifest.Hash, error) {
		if (content != nil) != (e.Type == manifest.File && e.Carried()) {
			t.Errorf("%q came with content %v", e.Path, content != nil)
		}
		if content == nil {
			return manifest.Hash{}, nil
		}
		data, err := io.ReadAll(content)
		files[e.Path] = string(data)
		return sha256.Sum256(data), err
	})
	if open != 0 {
		t.Errorf("%d parts are still open", open)
	}
	return files, err
}

type closing struct {
	io.Reader
	closed func()
}

func (c closing) Close() error { c.closed(); return nil }

func TestUnpack(t *testing.T) {
	p := newPacked(t)
	if len(p.parts) != 4 {
		t.Fatalf("%d parts", len(p.parts))
	}
	files, err := p.unpack(t, p.parts)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(files) != fmt.Sprint(p.files) {
		t.Errorf("got %v", files)
	}
}

// accepted reports parts that were taken although they are not the ones. Where
// a large file is cut is the kiosk's choice, so only the stream counts there.
func (p *packed) accepted(t testing.TB, parts [][]byte) bool {
	t.Helper()
	files, err := p.unpack(t, parts)
	if err != nil {
		if !errors.As(err, new(*Refusal)) {
			t.Errorf("refused without a reason: %v", err)
		}
		return false
	}
	if !bytes.Equal(slices.Concat(parts...), slices.Concat(p.parts...)) || len(parts) != len(p.parts) || fmt.Sprint(files) != fmt.Sprint(p.files) {
		t.Errorf("accepted %d parts that are not the ones", len(parts))
	}
	return true
}

// Every byte of the stream counts: where it is flipped, and where the stream ends.
func TestUnpackRefusesEveryOtherByte(t *testing.T) {
	p := newPacked(t)
	for n, part := range p.parts {
		for at := n; at < len(part); at += 5 {
			parts := slices.Clone(p.parts)
			parts[n] = bytes.Clone(part)
			parts[n][at] ^= 1 << (at % 8)
			if p.accepted(t, parts) {
				t.Errorf("byte %d of part %d flipped", at, n+1)
			}
			if at%3 > 0 {
				continue
			}
			parts[n] = part[:at]
			if p.accepted(t, parts) {
				t.Errorf("part %d cut to %d bytes", n+1, at)
			}
		}
	}
}

func TestUnpackRefusesRandomStreams(t *testing.T) {
	p := newPacked(t)
	rng := rand.New(rand.NewPCG(3, 4))
	whole := 0
	for range 4_000 {
		parts := make([][]byte, len(p.parts))
		for i := range parts {
			parts[i] = bytes.Clone(p.parts[i])
		}
		for range 1 + rng.IntN(3) {
			i, j := rng.IntN(len(parts)), rng.IntN(len(parts))
			at := rng.IntN(len(parts[i]) + 1)
			switch rng.IntN(7) {
			case 0:
				parts[i] = slices.Insert(parts[i], at, byte(rng.IntN(256)))
			case 1:
				parts[i] = slices.Delete(parts[i], at, min(at+rng.IntN(600), len(parts[i])))
			case 2:
				parts[i], parts[j] = parts[j], parts[i]
			case 3: // the cut lies elsewhere
				if i+1 < len(parts) {
					parts[i+1] = append(bytes.Clone(parts[i][at:]), parts[i+1]...)
					parts[i] = parts[i][:at]
				}
			case 4:
				parts = slices.Insert(parts, i, bytes.Clone(parts[j][:rng.IntN(len(parts[j])+1)]))
			case 5:
				if len(parts) > 1 {
					parts = slices.Delete(parts, i, i+1)
				}
			case 6:
				parts[i] = append(parts[i], make([]byte, 512*rng.IntN(4))...)
			}
		}
		if p.accepted(t, parts) {
			whole++
		}
	}
	t.Log(whole, "of them were the stream again")
}

// A file that nobody read to its end, or read as something else, is no file.
func TestUnpackHoldsItsReaderToTheDigest(t *testing.T) {
	p := newPacked(t)
	for name, each := range map[string]func(io.Reader) (manifest.Hash, error){
		"not read":    func(io.Reader) (manifest.Hash, error) { return sha256.Sum256([]byte("x")), nil },
		"half read":   func(r io.Reader) (h manifest.Hash, err error) { _, err = io.CopyN(io.Discard, r, 1); return h, err },
		"wrong":       func(r io.Reader) (h manifest.Hash, err error) { _, err = io.Copy(io.Discard, r); return h, err },
		"read failed": func(io.Reader) (manifest.Hash, error) { return manifest.Hash{}, io.ErrUnexpectedEOF },
	} {
		index, err := manifest.NewIndexReader(bytes.NewReader(p.index), packedID)
		if err != nil {
			t.Fatal(err)
		}
		err = unpack(index, len(p.parts), func(n int) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(p.parts[n-1])), nil
		}, func(e *manifest.Entry, content io.Reader) (manifest.Hash, error) {
			if content == nil {
				return manifest.Hash{}, nil
			}
			return each(content)
		})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	p := newPacked(f)
	stream := slices.Concat(p.parts...)
	cut := func(n int) int { return len(slices.Concat(p.parts[:n]...)) }
	f.Add(stream, cut(1), cut(2), cut(3))
	f.Add(stream, 0, 0, 0)
	f.Add(stream[:1024], 512, 512, 512)
	f.Add([]byte{}, 0, 0, 0)
	f.Fuzz(func(t *testing.T, stream []byte, a, b, c int) {
		cuts := []int{a, b, c, len(stream)}
		var parts [][]byte
		at := 0
		for _, to := range cuts {
			to = min(max(to, at), len(stream))
			parts = append(parts, stream[at:to])
			at = to
		}
		p.accepted(t, parts)
	})
}
