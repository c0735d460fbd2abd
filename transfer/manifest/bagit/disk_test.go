package bagit_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"sekisho/transfer/manifest/bagit"
)

// On a real disk: a valid bag, and what only a disk can hold.
func TestOnDisk(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(dir string) error
	}{
		{"valid", "", func(string) error { return nil }},
		{"link", "no regular file", func(dir string) error { return os.Symlink("bare-filename", filepath.Join(dir, "data/link")) }},
		{"link for a listed file", "no regular file", func(dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "data/bare-filename"), filepath.Join(dir, "elsewhere")),
				os.Symlink("../elsewhere", filepath.Join(dir, "data/bare-filename")))
		}},
		{"tag folder is a link", "no regular file", func(dir string) error { return os.Symlink("data", filepath.Join(dir, "tags")) }},
		{"bagit.txt is a folder", "no bagit.txt", func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "bagit.txt")), os.Mkdir(filepath.Join(dir, "bagit.txt"), 0o755))
		}},
		{"huge manifest", "bytes", func(dir string) error { return os.Truncate(filepath.Join(dir, payloadManifest), 1<<30) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range basic() {
				path := filepath.Join(dir, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			err := bagit.Check(os.DirFS(dir))
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, bagit.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A bag that cannot be read is not called invalid, and never valid.
func TestUnreadable(t *testing.T) {
	b := basic()
	for _, name := range []string{"bagit.txt", payloadManifest, "data/bare-filename"} {
		for _, opens := range []bool{false, true} {
			err := bagit.Check(unreadable{b.fs(), name, opens})
			if err == nil || errors.Is(err, bagit.ErrInvalid) || !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s, opens %v: %v", name, opens, err)
			}
		}
	}
}

// unreadable is a file system in which one file cannot be opened, or read.
type unreadable struct {
	fstest.MapFS
	name  string
	opens bool
}

func (u unreadable) Open(name string) (fs.File, error) {
	f, err := u.MapFS.Open(name)
	if name != u.name || err != nil {
		return f, err
	}
	if u.opens {
		return broken{f}, nil
	}
	return nil, errors.Join(&fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}, f.Close())
}

// ReadFile takes the way of every other reader.
func (u unreadable) ReadFile(name string) ([]byte, error) {
	f, err := u.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

type broken struct{ fs.File }

func (broken) Read([]byte) (int, error) { return 0, fs.ErrPermission }

// FuzzManifest: no manifest makes Check panic, and none but the one with the
// right sums and names is accepted.
func FuzzManifest(f *testing.F) {
	right := basic()[payloadManifest]
	b := basic()
	delete(b, "tagmanifest-sha512.txt")
	for _, seed := range []string{right, "", blanks(right), strings.ToUpper(right[:128]) + right[128:], right + right, "x  data/%0A\n"} {
		f.Add(seed)
	}
	if err := bagit.Check(b.fs()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := basic()
		delete(b, "tagmanifest-sha512.txt")
		b[payloadManifest] = text
		if bagit.Check(b.fs()) == nil && (!strings.Contains(text, "data/bare-filename") || !strings.Contains(text, "data/folder/text file 本")) {
			t.Errorf("accepted with %q", text)
		}
	})
}
