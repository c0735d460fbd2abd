package measure

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Limits of a package.
const (
	maxPackage = 4 << 30 // bytes of all its files
	maxPaths   = 1 << 16
)

func openPackage(name string) (*pack, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, err
		}
		return &pack{contents: inFolder{root}}, nil
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a package, a tar or a folder")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	magic := make([]byte, 8)
	if _, err := io.ReadFull(f, magic); err != nil {
		return nil, fmt.Errorf("not a package, a tar or a folder: %w", err)
	}
	if string(magic) == "!<arch>\n" {
		return openDebian(name)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	files, err := readTar(f)
	if err != nil {
		return nil, fmt.Errorf("not a package, a tar or a folder: %w", err)
	}
	// A tar cut between two files reads like a whole one but for its end.
	end := make([]byte, 1024)
	if _, err := f.ReadAt(end, st.Size()-int64(len(end))); err != nil || !bytes.Equal(end, make([]byte, len(end))) {
		return nil, errors.New("the tar is cut short")
	}
	return &pack{contents: files}, nil
}

// inTar is a tar's paths, each file read already.
type inTar map[string]*object

func (t inTar) stat(path string) (*object, error) { return t[path], nil }
func (t inTar) Close() error                      { return nil }

// readTar reads a tar to its end. A hard link is the file it names, which comes
// before it.
func readTar(r io.Reader) (inTar, error) {
	limited := &io.LimitedReader{R: r, N: maxPackage + 1}
	archive := tar.NewReader(limited)
	paths := make(inTar)
	var total int64 // a sparse file is longer than its share of the tar
	for {
		h, err := archive.Next()
		if h != nil && h.Size > maxPackage-total || limited.N <= 0 {
			return nil, fmt.Errorf("more than %d bytes", int64(maxPackage))
		}
		if err == io.EOF {
			return paths, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		total += h.Size
		name, err := tarPath(h.Name)
		if err != nil {
			return nil, err
		}
		o := new(object)
		switch h.Typeflag {
		case tar.TypeDir:
			o.kind = folder
		case tar.TypeReg, tar.TypeGNUSparse:
			d, err := hashFile(archive)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", h.Name, err)
			}
			o.kind, o.digest = file, func() (Digest, error) { return d, nil }
		case tar.TypeSymlink:
			o.kind, o.target = link, h.Linkname
		case tar.TypeLink:
			target, err := tarPath(h.Linkname)
			if err != nil {
				return nil, err
			}
			if o = paths[target]; o == nil || o.kind == folder {
				return nil, fmt.Errorf("%q is a hard link to %q, which does not come before it", h.Name, h.Linkname)
			}
		default:
			o.kind = other
		}
		// Two of one name: which stays is the unpacker's choice.
		if before := paths[name]; before != nil && (before.kind != folder || o.kind != folder) {
			return nil, fmt.Errorf("%q is there twice", h.Name)
		}
		if paths[name] = o; len(paths) > maxPaths {
			return nil, fmt.Errorf("more than %d files", maxPaths)
		}
	}
}

// tarPath is where an archive's name is unpacked below "/".
func tarPath(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("the name %q leads upwards", name)
		}
	}
	return merged(path.Clean("/" + name)), nil
}

// inFolder is a folder laid out like the root.
type inFolder struct{ root *os.Root }

func (f inFolder) Close() error { return f.root.Close() }

func (f inFolder) stat(name string) (*object, error) {
	o, err := f.lstat(name)
	if unmerged, ok := strings.CutPrefix(name, "/usr"); ok && o == nil && err == nil && merged(unmerged) == name {
		return f.lstat(unmerged)
	}
	return o, err
}

func (f inFolder) lstat(name string) (*object, error) {
	name = strings.TrimPrefix(name, "/")
	st, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case st.IsDir():
		return &object{kind: folder}, nil
	case st.Mode().IsRegular():
		return &object{kind: file, digest: func() (Digest, error) {
			r, err := f.root.Open(name)
			if err != nil {
				return Digest{}, err
			}
			defer r.Close()
			return hashFile(r)
		}}, nil
	case st.Mode()&fs.ModeSymlink != 0:
		target, err := f.root.Readlink(name)
		return &object{kind: link, target: target}, err
	}
	return &object{kind: other}, nil
}
