package transfer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/durable"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
)

// smallDisk mounts a filesystem of the size in dir.
func smallDisk(t testing.TB, dir, size string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	must(t, unix.Mount("none", dir, "tmpfs", 0, "size="+size))
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
}

// leftovers lists what an interrupted writer leaves in the outbox.
func leftovers(t testing.TB, dir string) (found []string) {
	t.Helper()
	for path := range tree(t, dir) {
		if strings.HasSuffix(path, durable.Suffix) || strings.HasSuffix(path, "ready.json") {
			found = append(found, path)
		}
	}
	return found
}

// A disk that is too small is found out before the first file is read, and one
// that fills up meanwhile costs nothing but what is not yet whole.
func TestOutboxWithoutRoom(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	dir := k.path("small")
	smallDisk(t, dir, "2m")
	var err error
	k.outbox, err = outbox.Open(dir)
	must(t, err)

	read := false
	p := k.preparation(t, export(t, map[string]string{"large": text("x", 3<<20)}))
	p.Watcher.File = func(transfer.File) { read = true }
	refused(t, p, transfer.NoSpace)
	if read {
		t.Error("it was read all the same")
	}

	src := export(t, map[string]string{"1": text("x", 300<<10), "2": text("y", 300<<10), "3": text("z", 300<<10)})
	filler := filepath.Join(dir, "filler")
	p = k.preparation(t, src)
	p.Watcher.File = func(f transfer.File) {
		if f.Path == "1" {
			var st unix.Statfs_t
			must(t, unix.Statfs(dir, &st))
			must(t, os.WriteFile(filler, make([]byte, int64(st.Bavail)*st.Bsize-100<<10), 0o600))
		}
	}
	refused(t, p, transfer.NoSpace)
	if found := leftovers(t, dir); len(found) > 0 {
		t.Errorf("half-kept: %q", found)
	}
	// What is whole is kept, and counts as room: without it the disk is too small.
	must(t, os.WriteFile(filler, make([]byte, 800<<10), 0o600))
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	if int64(st.Bavail)*st.Bsize > 900<<10 {
		t.Fatalf("%d bytes are free: this proves nothing", int64(st.Bavail)*st.Bsize)
	}
	bag := k.prepare(t, src)
	if bag.Statement.Number != 1 {
		t.Errorf("the bag was begun anew, as number %d", bag.Statement.Number)
	}
	if got := unpacked(t, g, bag); len(got) != 3 || got["3"].content != text("z", 300<<10) {
		t.Errorf("%d entries", len(got))
	}
	// A bag that waits needs no room at all.
	if again := k.prepare(t, src); again.ID() != bag.ID() {
		t.Errorf("made again as %s", again.ID())
	}
}

func TestSpoolWithoutRoom(t *testing.T) {
	k := newKiosk(t, "k1")
	newGate(t, k)
	dir := k.path("small")
	smallDisk(t, dir, "1m")
	var err error
	k.spool, err = scan.NewSpool(scan.SpoolOptions{Dir: dir, Memory: 4 << 20, Largest: 1 << 20})
	must(t, err)
	src := export(t, map[string]string{"1": "small", "2": text("x", 3<<20)})
	refused(t, k.preparation(t, src), transfer.NoSpace)
	if found := leftovers(t, k.outbox.Dir()); len(found) > 0 {
		t.Errorf("half-kept: %q", found)
	}
	if left := tree(t, dir); len(left) > 0 {
		t.Errorf("in the spool: %v", left)
	}
}

// A file that is too large for memory goes by way of the spool, as it is.
func TestThroughTheSpool(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	var err error
	k.spool, err = scan.NewSpool(scan.SpoolOptions{Dir: k.dir, Memory: 1 << 20, Largest: 64 << 10})
	must(t, err)
	large := text("EMRD", 5<<20+333)
	src := export(t, map[string]string{"large.dmp": large, "large.zip": zipped(t, "in.com", eicar) + text("x", 1<<20), "small": "small"})
	sparse := filepath.Join(src, "sparse.bak")
	must(t, os.WriteFile(sparse, nil, 0o644))
	must(t, os.Truncate(sparse, 4<<20))
	bag := k.prepare(t, src)
	got := unpacked(t, g, bag)
	if e := got["large.dmp"]; e.Verdict != manifest.Clean || e.content != large {
		t.Errorf("it is %+v", e.Entry)
	}
	if e := got["sparse.bak"]; e.Verdict != manifest.Clean || e.content != strings.Repeat("\x00", 4<<20) {
		t.Errorf("the sparse one is %+v", e.Entry)
	}
	if e := got["large.zip"]; e.Verdict != manifest.Detected || e.Carried() {
		t.Errorf("the archive is %+v", e.Entry)
	}
}
