package measure

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Next is the list as kiosk measure will make it at the first start after pkg is
// installed, so that the next state can be approved before the update. pkg is a
// Debian package, a tar or a folder, laid out like the root of the system.
// Nothing is installed or unpacked; a Debian package needs dpkg-deb.
//
// A measured file that the package brings gets the package's digest. Every other
// keeps its digest of present, not that of the file as it is on disk now:
// present is what a quote proved, and a file changed since then must not be
// approved unseen along with the update. If the change is wanted, the machine is
// started anew first; [Compare] with [Files] finds it.
//
// Paths are taken as on a system where /bin, /sbin and /lib are links into /usr.
// Links within the package are followed, and where this machine has links on
// the way to a measured file, so is where they lead.
//
// It is an error when the package brings none of the measured files, and when
// it brings one as a configuration file of dpkg's (conffile) with other bytes:
// whether dpkg keeps the kiosk's own is known only once it is installed. What
// Next cannot know is what a package's scripts change and remove, and that the
// new version is told to measure other files.
func Next(present *List, pkg string) (*List, error) {
	if err := present.check(); err != nil {
		return nil, fmt.Errorf("the next state: %w", err)
	}
	p, err := openPackage(pkg)
	if err != nil {
		return nil, fmt.Errorf("the next state: reading %q: %w", pkg, err)
	}
	defer p.Close()
	next := &List{Register: present.Register, Events: slices.Clone(present.Events)}
	brought := 0
	for i, e := range next.Events {
		digest, ok, err := p.digest(e)
		if err != nil {
			return nil, fmt.Errorf("the next state: %q in %q: %w", e.Name, pkg, err)
		}
		if ok {
			next.Events[i].SHA256 = digest
			brought++
		}
	}
	if brought == 0 {
		return nil, fmt.Errorf("the next state: %q brings none of the %d measured files", pkg, len(present.Events))
	}
	return next, nil
}

// contents is what a package would put on the system. Its paths are absolute
// and clean.
type contents interface {
	// stat says what the package has at path, whose folders are no links; nil
	// for nothing.
	stat(path string) (*object, error)
	Close() error
}

// object is one path in a package.
type object struct {
	kind   objectKind
	target string                 // of a link
	digest func() (Digest, error) // of a file
}

type objectKind int

const (
	folder objectKind = iota
	file
	link
	other // a device or a pipe
)

type pack struct {
	contents
	conffiles map[string]bool
}

// digest is of what opening the event's file will read once the package is
// installed, if that is the package's.
func (p *pack) digest(e Event) (d Digest, ok bool, err error) {
	names := []string{e.Name}
	// A link on this machine, of which the package need not know.
	if filepath.IsAbs(e.Name) {
		if real, err := filepath.EvalSymlinks(e.Name); err == nil && real != e.Name {
			names = append(names, real)
		}
	}
	for _, name := range names {
		path, o, err := p.find(name)
		if err != nil {
			return Digest{}, false, err
		}
		if o == nil {
			continue
		}
		if o.kind != file {
			return Digest{}, false, fmt.Errorf("%q is not a regular file", path)
		}
		if d, err = o.digest(); err != nil {
			return Digest{}, false, err
		}
		if p.conffiles[path] && d != e.SHA256 {
			return Digest{}, false, fmt.Errorf("%q is a configuration file of the package: install it, "+
				"start the kiosk anew and approve the state that it then has", path)
		}
		return d, true, nil
	}
	return Digest{}, false, nil
}

// maxLinks bounds the links on the way to one file.
const maxLinks = 40

// find follows the links in the package on the way to a path. It returns nil
// when the package has nothing there.
func (p *pack) find(name string) (string, *object, error) {
	path, rest := "/", strings.Split(merged(name), "/")
	inside := false // behind a link of the package's
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			path = filepath.Dir(path)
			continue
		}
		path = merged(filepath.Join(path, part))
		o, err := p.stat(path)
		if err != nil {
			return path, nil, err
		}
		if len(rest) == 0 && o != nil && o.kind != link {
			return path, o, nil
		}
		if o == nil || o.kind != link { // a tar need not list its folders
			continue
		}
		if links++; links > maxLinks {
			return path, nil, fmt.Errorf("more than %d links", maxLinks)
		}
		inside = true
		rest = append(strings.Split(o.target, "/"), rest...)
		path = filepath.Dir(path)
		if filepath.IsAbs(o.target) {
			path = "/"
		}
	}
	if inside {
		return path, nil, fmt.Errorf("a link of the package leads to %q, which it does not bring", path)
	}
	return path, nil, nil
}

// merged is the path on a system where the folders of programs are links into
// /usr, as on every Debian since 12.
func merged(path string) string {
	top, rest, deeper := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch top {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32":
		if deeper {
			return "/usr/" + top + "/" + rest
		}
	}
	return path
}
