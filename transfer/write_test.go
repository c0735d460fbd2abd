package transfer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
)

// notWritten writes with w, which must fail for that reason and leave no seal.
func notWritten(t testing.TB, w transfer.Writing, want transfer.Reason, bag *outbox.Bag) {
	t.Helper()
	err := transfer.Write(t.Context(), w, bag)
	var r *transfer.Refusal
	if !errors.As(err, &r) || r.Reason != want {
		t.Errorf("writing: %v, want %s", err, want)
	}
	if _, err := os.Lstat(onDrive(w.Drive.Path(), bag.ID(), manifest.SealDir, manifest.Envelope)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the drive has a seal: %v", err)
	}
	if again, err := w.Outbox.Bag(bag.ID()); err != nil || len(again.Written) > 0 || !again.Due() {
		t.Errorf("the bag is no longer due: %+v, %v", again, err)
	}
}

func onDrive(drive, id string, names ...string) string {
	return filepath.Join(append([]string{drive, manifest.Transfers, id}, names...)...)
}

// corrupt changes one byte in the middle of a file.
func corrupt(t testing.TB, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(path, data, 0o600))
}

// nothingSealed says that the gate finds nothing to take on the drive.
func nothingSealed(t testing.TB, g *gate, drive string) {
	t.Helper()
	refusedAs(t, refusalOf(g.importDrive(t, drive)), transfer.NoTransfer)
}

func TestWriteToFullDrive(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	bag := k.prepare(t, night(t, "full"))
	drive := t.TempDir()
	smallDisk(t, drive, "1500k")
	filler := filepath.Join(drive, "other data")

	must(t, os.WriteFile(filler, make([]byte, 1<<20), 0o600))
	notWritten(t, k.writing(t, drive), transfer.DriveFull, bag)
	if _, err := os.Lstat(onDrive(drive, bag.ID())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("begun all the same: %v", err)
	}

	// It fills up while it is written.
	must(t, os.Remove(filler))
	w := k.writing(t, drive)
	w.Watcher.Progress = func(p transfer.Progress) {
		if _, err := os.Lstat(filler); err != nil && p.Phase == transfer.PhaseWrite {
			var st unix.Statfs_t
			must(t, unix.Statfs(drive, &st))
			must(t, os.WriteFile(filler, make([]byte, int64(st.Bavail)*st.Bsize), 0o600))
		}
	}
	notWritten(t, w, transfer.DriveFull, bag)
	must(t, os.Remove(filler))
	nothingSealed(t, g, drive)

	// What is there counts as room, and writing goes on.
	var st unix.Statfs_t
	must(t, unix.Statfs(drive, &st))
	k.write(t, drive, bag)
	g.accept(t, drive)
}

func TestWriteToProtectedDrive(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	bag := k.prepare(t, night(t, "protected"))
	drive := t.TempDir()
	smallDisk(t, drive, "8m")
	remount := func(flags uintptr) { must(t, unix.Mount("none", drive, "tmpfs", unix.MS_REMOUNT|flags, "size=8m")) }
	remount(unix.MS_RDONLY)
	notWritten(t, k.writing(t, drive), transfer.DriveProtected, bag)
	remount(0)
	k.write(t, drive, bag)
	g.accept(t, drive)
}

// Pulled at any part of the way, and put back: the same bag goes on.
func TestWriteToPulledDrive(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	bag := k.prepare(t, night(t, "pulled"))
	drive := filepath.Join(t.TempDir(), "drive")
	must(t, os.Mkdir(drive, 0o755))
	away := drive + "-away"
	for share := int64(0); share < 4; share++ {
		w := k.writing(t, drive)
		w.Watcher.Progress = func(p transfer.Progress) {
			if (p.Phase == transfer.PhaseWrite && p.Bytes >= p.TotalBytes*share/4 || p.Phase == transfer.PhaseSeal) && w.Drive.Present() == nil {
				must(t, os.Rename(drive, away))
			}
		}
		notWritten(t, w, transfer.DriveGone, bag)
		must(t, os.Rename(away, drive))
		nothingSealed(t, g, drive)
	}
	w := k.writing(t, drive)
	w.Watcher.Progress = func(p transfer.Progress) { // at the last moment
		if p.Phase == transfer.PhaseSeal {
			must(t, os.Rename(drive, away))
		}
	}
	err := transfer.Write(t.Context(), w, bag)
	var r *transfer.Refusal
	if !errors.As(err, &r) || r.Reason != transfer.DriveGone || len(bag.Written) > 0 {
		t.Errorf("pulled while it was sealed: %v, written %v", err, bag.Written)
	}
	must(t, os.Rename(away, drive))

	k.write(t, drive, bag)
	o := g.accept(t, drive)
	if gaps := o[0].Gaps; len(gaps) > 0 {
		t.Errorf("counter values %v are open", gaps)
	}
}

func TestWriteStops(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	bag := k.prepare(t, night(t, "stops"))
	drive := t.TempDir()
	ctx, stop := withCancel(t)
	w := k.writing(t, drive)
	w.Watcher.Progress = func(p transfer.Progress) {
		if p.Bytes > p.TotalBytes/2 {
			stop()
		}
	}
	if err := transfer.Write(ctx, w, bag); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
	nothingSealed(t, g, drive)
	k.write(t, drive, bag)
	g.accept(t, drive)
}

// A drive with a life of its own: what is not ours is not touched, and what is
// there of another night goes along.
func TestWriteBesideOthers(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	drive := export(t, map[string]string{"photos/cat.jpg": "cat", "autorun.inf": "[autorun]", "empty/": ""})
	before := tree(t, drive)
	first, second := k.prepare(t, night(t, "first")), k.prepare(t, night(t, "second"))
	k.write(t, drive, first)
	k.write(t, drive, second)
	after := tree(t, drive)
	for path, state := range before {
		if after[path] != state {
			t.Errorf("%s was %q and is %q", path, state, after[path])
		}
	}
	outcomes := g.accept(t, drive)
	if len(outcomes) != 2 || outcomes[0].Statement.Counter+1 != outcomes[1].Statement.Counter || outcomes[1].Statement.Previous == nil {
		t.Errorf("the gate took %+v", outcomes)
	}
	if answers := k.settle(t, drive); len(answers) != 2 {
		t.Errorf("%d answers", len(answers))
	}
}

// An older copy of the bag on the drive, damaged in any way, is made good.
func TestWriteOverDamagedCopy(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	bag := k.prepare(t, night(t, "damaged"))
	drive := t.TempDir()
	k.write(t, drive, bag)
	at := func(names ...string) string { return onDrive(drive, bag.ID(), names...) }
	part := filepath.Join(manifest.Data, "000002.age")
	for name, damage := range map[string]func() error{
		"nothing":          func() error { return nil },
		"part altered":     func() error { corrupt(t, at(part)); return nil },
		"part cut":         func() error { return os.Truncate(at(part), 5) },
		"part longer":      func() error { return os.Truncate(at(part), 1<<20) },
		"part lost":        func() error { return os.Remove(at(part)) },
		"part a folder":    func() error { return errors.Join(os.Remove(at(part)), os.Mkdir(at(part), 0o755)) },
		"part a link":      func() error { return errors.Join(os.Remove(at(part)), os.Symlink("000001.age", at(part))) },
		"half a part":      func() error { return os.WriteFile(at(part+".part"), []byte("half"), 0o644) },
		"parts a link":     func() error { return errors.Join(os.Rename(at("data"), at("old")), os.Symlink("old", at("data"))) },
		"left by a Mac":    func() error { return os.WriteFile(at("data", "._000001.age"), []byte("x"), 0o644) },
		"a folder more":    func() error { return os.MkdirAll(at("found", "more"), 0o755) },
		"index altered":    func() error { corrupt(t, at(manifest.Index)); return nil },
		"evidence lost":    func() error { return os.Remove(at(manifest.SealDir, "quote.attest")) },
		"envelope altered": func() error { corrupt(t, at(manifest.SealDir, manifest.Envelope)); return nil },
		"seal lost":        func() error { return os.RemoveAll(at(manifest.SealDir)) },
		"half a seal":      func() error { return os.WriteFile(at(manifest.SealDir, manifest.Envelope+".part"), nil, 0o644) },
		"folder lost":      func() error { return os.RemoveAll(at()) },
		"id lost":          func() error { return os.Remove(filepath.Join(drive, manifest.DriveFile)) },
		"id damaged":       func() error { return os.Truncate(filepath.Join(drive, manifest.DriveFile), 9) },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, damage())
			k.write(t, drive, bag)
			in := g.inbound(t, drive)
			in.VerifyOnly = true
			outcomes, err := transfer.Import(t.Context(), in)
			if err != nil || len(outcomes) != 1 || outcomes[0].Refusal != nil {
				t.Errorf("the gate says %+v, %v", outcomes, err)
			}
		})
	}
	g.accept(t, drive)
}

// The kiosk's own disk failed: nothing wrong is sealed, and a good copy that is
// on the drive stays good.
func TestWriteDamagedBag(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string) error{
		"part altered":         func(t *testing.T, dir string) error { corrupt(t, filepath.Join(dir, manifest.PartName(2))); return nil },
		"part lost":            func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, manifest.PartName(2))) },
		"part cut":             func(_ *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, manifest.PartName(1)), 9) },
		"index altered":        func(t *testing.T, dir string) error { corrupt(t, filepath.Join(dir, manifest.Index)); return nil },
		"manifest altered":     func(t *testing.T, dir string) error { corrupt(t, filepath.Join(dir, manifest.Manifest)); return nil },
		"tag manifest altered": func(t *testing.T, dir string) error { corrupt(t, filepath.Join(dir, manifest.TagManifest)); return nil },
		"tag manifest lost":    func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, manifest.TagManifest)) },
		"settled and freed":    func(_ *testing.T, dir string) error { return os.RemoveAll(dir) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKiosk(t, "k1")
			g := newGate(t, k)
			bag := k.prepare(t, night(t, "bad disk"))
			good := t.TempDir()
			k.write(t, good, bag)
			if err := damage(t, bag.Dir()); err != nil {
				t.Fatal(err)
			}
			for _, drive := range []string{t.TempDir(), good} {
				err := transfer.Write(t.Context(), k.writing(t, drive), bag)
				var r *transfer.Refusal
				// The parts on the good drive need not be read from the outbox again.
				if drive == good && err == nil {
					continue
				}
				if !errors.As(err, &r) || r.Reason != transfer.BagDamaged || reopened(t, k, bag).Due() {
					t.Errorf("writing: %v", err)
				}
			}
			g.accept(t, good)
		})
	}
}

// The drive was lost on its way: the bag goes on another one under another
// counter value, and when the first turns up nothing is taken twice.
func TestLostDrive(t *testing.T) {
	k := newKiosk(t, "k1")
	g := newGate(t, k)
	bag := k.prepare(t, night(t, "lost"))
	lost, other := t.TempDir(), t.TempDir()
	k.write(t, lost, bag)
	k.write(t, other, bag)
	if len(bag.Written) != 2 || bag.Written[0].Counter+1 != bag.Written[1].Counter || bag.Written[0].Drive == bag.Written[1].Drive {
		t.Fatalf("written as %+v", bag.Written)
	}
	first := g.accept(t, other)[0]
	outcomes, err := g.importDrive(t, lost)
	must(t, err)
	if len(outcomes) != 1 || outcomes[0].Reason != transfer.AlreadyAccepted || outcomes[0].Generation != first.Generation || outcomes[0].Refusal != nil {
		t.Errorf("the lost drive: %+v", outcomes)
	}
	// The copy of one drive is nothing on another.
	copied := t.TempDir()
	must(t, os.CopyFS(copied, os.DirFS(lost)))
	must(t, os.Remove(filepath.Join(copied, manifest.DriveFile)))
	k.write(t, copied, k.prepare(t, night(t, "next")))
	outcomes, err = g.importDrive(t, copied)
	must(t, err)
	if i := slices.IndexFunc(outcomes, func(o transfer.Outcome) bool { return o.Transfer == bag.ID() }); i < 0 {
		t.Errorf("the copy is not named: %+v", outcomes)
	} else {
		refusedAs(t, outcomes[i].Refusal, transfer.WrongDrive)
	}
	for _, drive := range []string{lost, other} {
		if answers := k.settle(t, drive); len(answers) != 1 || !answers[0].Bag.Settled {
			t.Errorf("the receipt says %+v", answers)
		}
	}
}
