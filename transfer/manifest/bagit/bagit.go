// Package bagit checks a folder against BagIt 1.0 (RFC 8493).
//
// It is what the project holds its own bags against, written from the RFC and
// not from package manifest: tests use it to show that a bag on a drive is one
// that other tools accept. Neither program uses it; gates check more, and IT is
// offered no command for it yet.
//
// Where the RFC leaves a choice it takes the strict side: version 1.0 and UTF-8
// only; SHA-256 and SHA-512 only, as the RFC calls others unsafe; no fetch.txt,
// because nothing is fetched; no symbolic links and no other special files; no
// path that is not in its shortest form, or that some system would expand; no two
// paths that are the same after Unicode normalization. It accepts all three line
// ends, capital hex digits, and tag files that no manifest lists.
package bagit

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ErrInvalid is wrapped by every error that says the bag is not valid; any
// other says that it could not be read.
var ErrInvalid = errors.New("not a valid bag")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

const (
	declaration = "bagit.txt"
	information = "bag-info.txt"
	payload     = "data"
	maxTagFile  = 64 << 20 // bytes of a tag file that is read whole
)

var algorithms = map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New}

// Check reads the whole bag in fsys and returns nil when it is complete and valid.
func Check(fsys fs.FS) error {
	b := &bag{fsys: fsys, files: make(map[string]int64)}
	for _, step := range []func() error{b.list, b.declaration, b.manifests, b.complete, b.information, b.sums} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type bag struct {
	fsys  fs.FS
	files map[string]int64 // every file in the bag, with its size in bytes
	lists []*list
}

// list walks the bag: regular files and folders only, and data/ among them.
func (b *bag) list() error {
	if info, err := fs.Stat(b.fsys, payload); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return invalid("there is no folder %s/", payload)
	} else if err != nil {
		return err
	}
	seen := make(map[string]string)
	return fs.WalkDir(b.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return invalid("%q is no regular file", name)
		}
		if name == "fetch.txt" {
			return invalid("it has a fetch.txt: files are elsewhere")
		}
		normal := norm.NFC.String(name)
		if other, ok := seen[normal]; ok {
			return invalid("%q and %q are the same name in other normal forms", name, other)
		}
		seen[normal] = name
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.files[name] = info.Size()
		return nil
	})
}

// declaration checks bagit.txt: two lines, word by word.
func (b *bag) declaration() error {
	lines, err := b.lines(declaration)
	if err != nil {
		return err
	}
	if len(lines) != 2 || lines[0] != "BagIt-Version: 1.0" || lines[1] != "Tag-File-Character-Encoding: UTF-8" {
		return invalid("%s is not the declaration of version 1.0 in UTF-8: %.120q", declaration, lines)
	}
	return nil
}

// manifests reads every manifest and tag manifest at the top of the bag.
func (b *bag) manifests() error {
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		base, ok := strings.CutSuffix(name, ".txt")
		if !ok || strings.Contains(name, "/") {
			continue
		}
		l := &list{name: name, sums: make(map[string][]byte)}
		var algorithm string
		if algorithm, l.tags = strings.CutPrefix(base, "tagmanifest-"); !l.tags {
			if algorithm, ok = strings.CutPrefix(base, "manifest-"); !ok {
				continue
			}
		}
		if l.hash = algorithms[algorithm]; l.hash == nil {
			return invalid("%s: unknown algorithm %q", name, algorithm)
		}
		lines, err := b.lines(name)
		if err != nil {
			return err
		}
		for i, line := range lines {
			if err := l.add(line); err != nil {
				return invalid("line %d of %s: %s", i+1, name, err)
			}
		}
		b.lists = append(b.lists, l)
	}
	return nil
}

// complete compares names: every payload file in every payload manifest, every
// payload manifest in every tag manifest, and nothing listed that is not there.
func (b *bag) complete() error {
	var payloads []string // manifests
	for _, l := range b.lists {
		if !l.tags {
			payloads = append(payloads, l.name)
		}
		for _, name := range slices.Sorted(maps.Keys(l.sums)) {
			if _, ok := b.files[name]; !ok {
				return invalid("%s lists %q, which is not there", l.name, name)
			}
		}
	}
	if len(payloads) == 0 {
		return invalid("there is no payload manifest")
	}
	for _, l := range b.lists {
		want := payloads
		if !l.tags {
			want = b.payload()
		}
		for _, name := range want {
			if l.sums[name] == nil {
				return invalid("%s does not list %q", l.name, name)
			}
		}
	}
	return nil
}

// payload lists the payload files.
func (b *bag) payload() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.files)), func(name string) bool { return !strings.HasPrefix(name, payload+"/") })
}

// sums reads every listed file once and compares its digests.
func (b *bag) sums() error {
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		var hashes []hash.Hash
		var writers []io.Writer
		var lists []*list
		for _, l := range b.lists {
			if l.sums[name] != nil {
				h := l.hash()
				hashes, writers, lists = append(hashes, h), append(writers, h), append(lists, l)
			}
		}
		if len(lists) == 0 {
			continue
		}
		f, err := b.fsys.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.MultiWriter(writers...), f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("reading %q: %w", name, err)
		}
		for i, l := range lists {
			if !bytes.Equal(hashes[i].Sum(nil), l.sums[name]) {
				return invalid("%q is not what %s says", name, l.name)
			}
		}
	}
	return nil
}

// lines reads a tag file: UTF-8 without a byte order mark, every line ended by
// LF, CR or CRLF.
func (b *bag) lines(name string) ([]string, error) {
	size, ok := b.files[name]
	if !ok {
		return nil, invalid("there is no %s", name)
	}
	if size > maxTagFile {
		return nil, invalid("%s has %d bytes", name, size)
	}
	data, err := fs.ReadFile(b.fsys, name)
	if err != nil {
		return nil, err
	}
	text := string(data)
	switch {
	case !utf8.ValidString(text):
		return nil, invalid("%s is not UTF-8", name)
	case strings.HasPrefix(text, "\ufeff"):
		return nil, invalid("%s begins with a byte order mark", name)
	case text == "":
		return nil, nil
	}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	body, ended := strings.CutSuffix(text, "\n")
	if !ended {
		return nil, invalid("the last line of %s has no end", name)
	}
	return strings.Split(body, "\n"), nil
}

// decode reads a hex digest of h's length.
func decode(s string, h hash.Hash) ([]byte, error) {
	sum, err := hex.DecodeString(s)
	if err != nil || len(sum) != h.Size() {
		return nil, fmt.Errorf("%.160q is no checksum of its algorithm", s)
	}
	return sum, nil
}
