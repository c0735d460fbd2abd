package bagit

import (
	"errors"
	"fmt"
	"hash"
	"path"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// list is a manifest or a tag manifest.
type list struct {
	name string
	tags bool // a tag manifest
	hash func() hash.Hash
	sums map[string][]byte // by path
	seen map[string]bool   // paths in normal form
}

// add reads one line: checksum, spaces or tabs, path.
func (l *list) add(line string) error {
	const blank = " \t"
	i := strings.IndexAny(line, blank)
	if i <= 0 {
		return fmt.Errorf("%.160q is not a checksum and a path", line)
	}
	sum, err := decode(line[:i], l.hash())
	if err != nil {
		return err
	}
	name, err := unescape(strings.TrimLeft(line[i:], blank))
	if err != nil {
		return err
	}
	if err := l.place(name); err != nil {
		return err
	}
	normal := norm.NFC.String(name)
	if l.seen[normal] {
		return fmt.Errorf("%q is listed twice", name)
	}
	if l.seen == nil {
		l.seen = make(map[string]bool)
	}
	l.seen[normal], l.sums[name] = true, sum
	return nil
}

// place says whether a file of that path may be in this list.
func (l *list) place(name string) error {
	inData := strings.HasPrefix(name, payload+"/")
	switch {
	case path.IsAbs(name), strings.HasPrefix(name, "~"), path.Clean(name) != name, name == "..", strings.HasPrefix(name, "../"),
		len(name) > 1 && name[1] == ':', strings.HasPrefix(name, `\`):
		return fmt.Errorf("path %q leads elsewhere or is not in its shortest form", name)
	case !l.tags && !inData:
		return fmt.Errorf("%q is not in %s/", name, payload)
	case l.tags && (inData || name == payload):
		return fmt.Errorf("a tag manifest lists %q of the payload", name)
	case l.tags && strings.HasPrefix(name, "tagmanifest-") && strings.HasSuffix(name, ".txt"):
		return fmt.Errorf("a tag manifest lists the tag manifest %q", name)
	}
	return nil
}

// unescape undoes the percent-encoding of LF, CR and the percent sign, the only
// characters that are to be encoded.
func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if len(after) < 2 {
			return "", errors.New("a percent sign at the end")
		}
		switch strings.ToUpper(after[:2]) {
		case "0A":
			b.WriteByte('\n')
		case "0D":
			b.WriteByte('\r')
		case "25":
			b.WriteByte('%')
		default:
			return "", fmt.Errorf("%%%s is not to be encoded", after[:2])
		}
		s = after[2:]
	}
}
