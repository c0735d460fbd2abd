package measure

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// Limits of what is read beside a Debian package's files, in bytes.
const (
	maxConffiles = 1 << 20
	maxComplaint = 1 << 10 // of dpkg-deb's
)

func openDebian(name string) (*pack, error) {
	name, err := filepath.Abs(name) // no option
	if err != nil {
		return nil, err
	}
	p := &pack{conffiles: make(map[string]bool)}
	err = dpkgDeb("--fsys-tarfile", name, func(r io.Reader) error {
		p.contents, err = readTar(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = dpkgDeb("--ctrl-tarfile", name, func(r io.Reader) error { return p.readControl(r) })
	if err != nil {
		return nil, err
	}
	return p, nil
}

// dpkgDeb has read take what dpkg-deb writes. Both must succeed: a package cut
// short is known only by dpkg-deb's end.
func dpkgDeb(mode, name string, read func(io.Reader) error) error {
	cmd := exec.Command("dpkg-deb", mode, name)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var complaint beginning
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = read(out)
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(out, maxPackage)) // the end of the tar
	}
	if err != nil {
		out.Close() // dpkg-deb would wait for its reader
	}
	werr := cmd.Wait()
	if err == nil {
		err = werr
	}
	if err != nil && len(complaint) > 0 {
		return fmt.Errorf("%w (%q)", err, strings.TrimSpace(string(complaint)))
	}
	return err
}

// beginning keeps the first bytes that are written to it.
type beginning []byte

func (b *beginning) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxComplaint-len(*b))]...)
	return len(p), nil
}

// readControl looks for the list of the package's configuration files.
func (p *pack) readControl(r io.Reader) error {
	control := tar.NewReader(io.LimitReader(r, maxPackage))
	for {
		h, err := control.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if path.Clean("/"+h.Name) != "/conffiles" {
			continue
		}
		data, err := io.ReadAll(io.LimitReader(control, maxConffiles+1))
		if err != nil {
			return err
		}
		if len(data) > maxConffiles {
			return fmt.Errorf("conffiles has more than %d bytes", maxConffiles)
		}
		for line := range strings.Lines(string(data)) {
			if name := strings.TrimPrefix(strings.TrimSpace(line), "remove-on-upgrade "); name != "" {
				p.conffiles[merged(path.Clean(name))] = true
			}
		}
	}
}
