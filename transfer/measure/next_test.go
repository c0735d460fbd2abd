package measure

import (
	"archive/tar"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// debian builds a package from the folder root, with the conffiles named.
func debian(t testing.TB, root string, conffiles ...string) string {
	t.Helper()
	write(t, root+"/DEBIAN/control", "Package: sekisho\nVersion: 2\nArchitecture: amd64\nMaintainer: nobody <nobody@example.invalid>\nDescription: test\n")
	if len(conffiles) > 0 {
		write(t, root+"/DEBIAN/conffiles", strings.Join(conffiles, "\n")+"\n")
	}
	pkg := t.TempDir() + "/sekisho.deb"
	run(t, "dpkg-deb", "--root-owner-group", "--build", root, pkg)
	return pkg
}

// tarOf packs the folder root with GNU tar, whose names begin with "./".
func tarOf(t testing.TB, root string) string {
	t.Helper()
	pkg := t.TempDir() + "/sekisho.tar"
	run(t, "tar", "-C", root, "-cf", pkg, ".")
	return pkg
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// Each form of a package gives the same list.
func TestNext(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/usr/lib/sekisho/kiosk-2", "new program")
	if err := os.Link(root+"/usr/lib/sekisho/kiosk-2", root+"/usr/lib/sekisho/zz-same"); err != nil {
		t.Fatal(err)
	}
	symlink(t, "../lib/sekisho/kiosk-2", root+"/usr/bin/kiosk")
	symlink(t, "/usr/bin/kiosk", root+"/usr/bin/absolute")
	write(t, root+"/lib/systemd/system/sekisho-kiosk.service", "new unit")
	symlink(t, "v2", root+"/usr/share/sekisho/current")
	write(t, root+"/usr/share/sekisho/v2/rules", "new rules")
	write(t, root+"/etc/sekisho/same.toml", "old")
	write(t, root+"/usr/bin/unmeasured", "x")

	files := map[string]string{ // what each will read
		"/usr/bin/kiosk":           "new program",
		"/usr/bin/absolute":        "new program",
		"/bin/kiosk":               "new program",
		"/usr/lib/sekisho/zz-same": "new program",
		"/usr/lib/systemd/system/sekisho-kiosk.service": "new unit",
		"/lib/systemd/system/sekisho-kiosk.service":     "new unit",
		"/usr/share/sekisho/current/rules":              "new rules",
		"/etc/sekisho/same.toml":                        "old",
		"/etc/sekisho/kiosk.toml":                       "old",
	}
	present, want := &List{Register: 12}, &List{Register: 12}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		present.Events = append(present.Events, Event{name, sum([]byte("old"))})
		want.Events = append(want.Events, Event{name, sum([]byte(files[name]))})
	}
	before := mustMarshal(t, present)
	for name, pkg := range map[string]string{"folder": root, "tar": tarOf(t, root), "deb": debian(t, root, "/etc/sekisho/same.toml")} {
		next, err := Next(present, pkg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if changes := Compare(want, next); len(changes) > 0 || next.Register != 12 {
			t.Errorf("%s: %v", name, changes)
		}
	}
	if string(mustMarshal(t, present)) != string(before) {
		t.Error("the present list was changed")
	}
}

// A link on this machine, of which the package knows nothing, leads to a file
// that the package brings.
func TestNextLinkOnThisMachine(t *testing.T) {
	machine, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write(t, machine+"/lib/a.service", "old")
	link := symlink(t, "lib/a.service", machine+"/a.service")
	root := t.TempDir()
	write(t, root+machine+"/lib/a.service", "new")
	present, err := Files(13, []string{link})
	if err != nil {
		t.Fatal(err)
	}
	next, err := Next(present, root)
	if err != nil {
		t.Fatal(err)
	}
	if next.Events[0] != (Event{link, sum([]byte("new"))}) {
		t.Errorf("next: %v", next)
	}
}

// The kiosk after the update has what was computed before it.
func TestNextComesTrue(t *testing.T) {
	machine, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, unit, config := write(t, machine+"/kiosk", "1"), write(t, machine+"/unit", "1"), write(t, machine+"/kiosk.toml", "site")
	present, err := Files(13, []string{program, config, unit})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	write(t, root+program, "2")
	write(t, root+unit, "2")
	pkg := debian(t, root)
	next, err := Next(present, pkg)
	if err != nil {
		t.Fatal(err)
	}
	// The package's folders above the test's own would change the machine's.
	unpacked := t.TempDir()
	run(t, "dpkg-deb", "--extract", pkg, unpacked)
	for _, name := range []string{program, unit} {
		if err := os.Rename(unpacked+name, name); err != nil {
			t.Fatal(err)
		}
	}
	is, err := Files(13, []string{program, config, unit})
	if err != nil {
		t.Fatal(err)
	}
	if next.Replay() != is.Replay() || is.Replay() == present.Replay() {
		t.Errorf("predicted %v, is %v", next, is)
	}
}

func TestNextRefused(t *testing.T) {
	present := list("usr/bin/kiosk", "etc/sekisho/kiosk.toml")
	folder := func(fill func(root string)) string {
		root := t.TempDir()
		fill(root)
		return root
	}
	good := folder(func(root string) { write(t, root+"/usr/bin/kiosk", strings.Repeat("new", 100_000)) })
	whole, err := os.ReadFile(debian(t, good))
	if err != nil {
		t.Fatal(err)
	}
	handmade := func(headers ...tar.Header) string {
		path := t.TempDir() + "/a.tar"
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(f)
		for _, h := range headers {
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	entry, err := os.ReadFile(handmade(tar.Header{Name: "usr/bin/kiosk"}, tar.Header{Name: "a"}, tar.Header{Name: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ pkg, want string }{
		"missing":      {t.TempDir() + "/none.deb", "no such file"},
		"none of them": {folder(func(root string) { write(t, root+"/usr/bin/other", "x") }), "brings none of the 2 measured files"},
		"empty folder": {t.TempDir(), "brings none"},
		"text":         {write(t, t.TempDir()+"/a", strings.Repeat("text ", 500)), "not a package, a tar or a folder"},
		"empty file":   {write(t, t.TempDir()+"/a", ""), "not a package, a tar or a folder"},
		"no deb":       {write(t, t.TempDir()+"/a.deb", "!<arch>\nnothing of the kind"), "dpkg-deb: error"},
		"a deb cut":    {write(t, t.TempDir()+"/a.deb", string(whole[:len(whole)-100])), "dpkg-deb: error"},
		"a tar cut":    {write(t, t.TempDir()+"/a.tar", string(entry[:500])), "unexpected EOF"},
		"no tar's end": {write(t, t.TempDir()+"/a.tar", string(entry[:3*512])), "the tar is cut short"},
		"a large tar":  {sparse(t), "more than"},
		"an option":    {write(t, t.TempDir()+"/-x", "!<arch>\n"), "dpkg-deb: error"},
		"a folder in its place": {folder(func(root string) { write(t, root+"/usr/bin/kiosk/file", "x") }),
			`"/usr/bin/kiosk" is not a regular file`},
		"a pipe in its place": {folder(func(root string) {
			write(t, root+"/usr/bin/other", "x")
			if err := unix.Mkfifo(root+"/usr/bin/kiosk", 0o600); err != nil {
				t.Fatal(err)
			}
		}), `"/usr/bin/kiosk" is not a regular file`},
		"a link out": {folder(func(root string) { symlink(t, "/usr/lib/elsewhere", root+"/usr/bin/kiosk") }),
			`leads to "/usr/lib/elsewhere", which it does not bring`},
		"a loop": {folder(func(root string) { symlink(t, "kiosk", root+"/usr/bin/kiosk") }), "more than 40 links"},
		"a folder's link out": {folder(func(root string) { symlink(t, "../..", root+"/usr/bin") }),
			`leads to "/kiosk", which it does not bring`},
		"another's conffile": {debian(t, folder(func(root string) {
			write(t, root+"/usr/bin/kiosk", "new")
			write(t, root+"/etc/sekisho/kiosk.toml", "the package's")
		}), "/etc/sekisho/kiosk.toml"), `"/etc/sekisho/kiosk.toml" is a configuration file of the package`},
		"upwards":                {handmade(tar.Header{Name: "a/../usr/bin/kiosk", Typeflag: tar.TypeReg}), "leads upwards"},
		"twice":                  {handmade(tar.Header{Name: "usr/bin/kiosk", Typeflag: tar.TypeReg}, tar.Header{Name: "./bin/kiosk", Typeflag: tar.TypeReg}), "there twice"},
		"a hard link to nothing": {handmade(tar.Header{Name: "usr/bin/kiosk", Typeflag: tar.TypeLink, Linkname: "usr/bin/x"}), "does not come before it"},
		"a device":               {handmade(tar.Header{Name: "usr/bin/kiosk", Typeflag: tar.TypeChar}), "not a regular file"},
	} {
		next, err := Next(present, test.pkg)
		if err == nil || next != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v", name, next, err)
		}
	}
	if next, err := Next(&List{Register: 99}, good); err == nil || next != nil {
		t.Errorf("a bad list: %v, %v", next, err)
	}
}

// sparse is a tar that is small and has a file without end.
func sparse(t *testing.T) string {
	root := t.TempDir()
	write(t, root+"/usr/bin/kiosk", "")
	if err := os.Truncate(root+"/usr/bin/kiosk", maxPackage+1); err != nil {
		t.Fatal(err)
	}
	pkg := t.TempDir() + "/sparse.tar"
	run(t, "tar", "-C", root, "-S", "-cf", pkg, ".")
	return pkg
}

// Without dpkg-deb there is no answer, not a wrong one.
func TestNextWithoutDpkg(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/usr/bin/kiosk", "new")
	pkg := debian(t, root)
	t.Setenv("PATH", t.TempDir())
	if next, err := Next(list("usr/bin/kiosk"), pkg); err == nil || next != nil || !strings.Contains(err.Error(), "dpkg-deb") {
		t.Errorf("%v, %v", next, err)
	}
}

// A tar's reader takes anything without a panic, and no list comes of an error.
func FuzzTar(f *testing.F) {
	root := f.TempDir()
	write(f, root+"/usr/bin/kiosk", "new")
	symlink(f, "kiosk", root+"/usr/bin/gate")
	seed, err := os.ReadFile(tarOf(f, root))
	if err != nil || len(seed) == 0 {
		f.Fatalf("no seed: %v", err)
	}
	f.Add(seed)
	present := list("usr/bin/kiosk", "usr/bin/gate")
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := readTar(strings.NewReader(string(data)))
		if err != nil {
			if files != nil {
				t.Error("an error and a result")
			}
			return
		}
		p := &pack{contents: files}
		for _, e := range present.Events {
			if d, ok, err := p.digest(e); !ok && d != (Digest{}) || err != nil && ok {
				t.Errorf("%v, %v, %v", d, ok, err)
			}
		}
	})
}
