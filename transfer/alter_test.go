package transfer_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
)

// stick is a drive in a folder, with one good transfer on it, and what an
// attacker may have at hand: the drives of another night and of another kiosk.
type stick struct {
	*testing.T
	dir     string
	id      string
	another string // the same kiosk's next night, on its own drive
	foreign string // the same night of a kiosk that the gate does not know
}

// at is a path in the transfer's folder.
func (s *stick) at(name string) string { return filepath.Join(s.dir, manifest.Transfers, s.id, name) }

// of is the same path on another drive.
func (s *stick) of(drive, name string) string {
	ids, err := os.ReadDir(filepath.Join(drive, manifest.Transfers))
	must(s, err)
	return filepath.Join(drive, manifest.Transfers, ids[0].Name(), name)
}

// take replaces a file by that of another drive.
func (s *stick) take(drive string, names ...string) {
	for _, name := range names {
		data, err := os.ReadFile(s.of(drive, name))
		must(s, err)
		writeFile(s, s.at(name), string(data))
	}
}

// outside moves something off the drive and returns where it is then.
func (s *stick) outside(path string) string {
	to := filepath.Join(scratch(s), "moved")
	must(s, os.Rename(path, to))
	return to
}

// link puts a symbolic link in the place of what is at path, to that very thing.
func (s *stick) link(path string) { must(s, os.Symlink(s.outside(path), path)) }

func (s *stick) swap(a, b string) {
	must(s, os.Rename(s.at(a), s.at("swap")))
	must(s, os.Rename(s.at(b), s.at(a)))
	must(s, os.Rename(s.at("swap"), s.at(b)))
}

const (
	part1, part2 = "data/000001.age", "data/000002.age"
	envelope     = "seal/statement.dsse.json"
)

// alterations of a sealed drive, each with the reason it is refused for; "" is
// what does not belong to any transfer and does not matter.
var alterations = []struct {
	name string
	want transfer.Reason
	do   func(s *stick)
}{
	{"nothing", "", func(*stick) {}},
	{"part missing", transfer.MissingPart, func(s *stick) { must(s, os.Remove(s.at(part1))) }},
	{"part added", transfer.ExtraFile, func(s *stick) { writeFile(s, s.at("data/000099.age"), "x") }},
	{"two parts swapped", transfer.Altered, func(s *stick) { s.swap(part1, part2) }},
	{"part copied over another", transfer.Altered, func(s *stick) {
		must(s, os.Remove(s.at(part2)))
		must(s, os.Link(s.at(part1), s.at(part2)))
	}},
	{"part renamed", transfer.ExtraFile, func(s *stick) { must(s, os.Rename(s.at(part1), s.at("data/1.age"))) }},
	{"part of another night", transfer.Altered, func(s *stick) { s.take(s.another, part1) }},
	{"index of another night", transfer.Altered, func(s *stick) { s.take(s.another, manifest.Index) }},
	{"all lists of another night", transfer.Altered, func(s *stick) { s.take(s.another, append(manifest.TagFiles, manifest.TagManifest)...) }},
	{"seal of another night", transfer.Malformed, func(s *stick) { s.take(s.another, sealFiles(s)...) }},
	{"statement of another night", transfer.BadSeal, func(s *stick) { s.take(s.another, envelope) }},
	{"counter of another night", transfer.BadSeal, func(s *stick) { s.take(s.another, "seal/counter.attest", "seal/counter.sig") }},
	{"quote of another night", transfer.BadSeal, func(s *stick) { s.take(s.another, "seal/quote.attest", "seal/quote.sig", "seal/quote.pcrs") }},
	{"evidence of another night", transfer.BadSeal, func(s *stick) { s.take(s.another, sealFiles(s)[:5]...) }},
	{"evidence swapped", transfer.BadSeal, func(s *stick) { s.swap("seal/counter.sig", "seal/quote.sig") }},
	{"seal of another kiosk", transfer.UnknownKiosk, func(s *stick) { s.take(s.foreign, sealFiles(s)...) }},
	{"drive of another kiosk", transfer.UnknownKiosk, func(s *stick) {
		must(s, os.RemoveAll(s.dir))
		must(s, os.CopyFS(s.dir, os.DirFS(s.foreign)))
	}},
	{"transfer copied to another drive", transfer.WrongDrive, func(s *stick) {
		must(s, os.Remove(filepath.Join(s.dir, manifest.DriveFile)))
		_, err := openDrive(s, s.dir).Prepare(manifest.DriveFile)
		must(s, err)
	}},
	{"statement edited", transfer.BadSeal, func(s *stick) {
		data, err := os.ReadFile(s.at(envelope))
		must(s, err)
		from := strings.Index(string(data), `"payload":"`) + len(`"payload":"`)
		n := strings.IndexByte(string(data[from:]), '"')
		text, err := base64.StdEncoding.DecodeString(string(data[from : from+n]))
		must(s, err)
		edited := strings.Replace(string(text), `"workflow":1`, `"workflow":2`, 1)
		writeFile(s, s.at(envelope), string(data[:from])+base64.StdEncoding.EncodeToString([]byte(edited))+string(data[from+n:]))
	}},
	{"statement of 1 GB", transfer.BadSeal, func(s *stick) { must(s, os.Truncate(s.at(envelope), 1<<30)) }},
	{"evidence of 1 GB", transfer.BadSeal, func(s *stick) { must(s, os.Truncate(s.at("seal/quote.sig"), 1<<30)) }},
	{"part of 1 TB", transfer.Altered, func(s *stick) { must(s, os.Truncate(s.at(part1), 1<<40)) }},
	{"index of 1 TB", transfer.Altered, func(s *stick) { must(s, os.Truncate(s.at(manifest.Index), 1<<40)) }},
	{"bag-info of 1 TB", transfer.Altered, func(s *stick) { must(s, os.Truncate(s.at(manifest.BagInfo), 1<<40)) }},
	{"part emptied", transfer.Altered, func(s *stick) { must(s, os.Truncate(s.at(part1), 0)) }},
	{"folder renamed", transfer.Malformed, func(s *stick) {
		must(s, os.Rename(s.at(""), filepath.Join(s.dir, manifest.Transfers, strings.Replace(s.id, "k1", "k2", 1))))
	}},
	{"folder renamed to nothing valid", transfer.ExtraFile, func(s *stick) { must(s, os.Rename(s.at(""), s.at("")+"x")) }},
	{"root renamed", transfer.NoTransfer, func(s *stick) {
		must(s, os.Rename(filepath.Join(s.dir, manifest.Root), filepath.Join(s.dir, "sekisho")))
	}},
	{"symlink for a part", transfer.Altered, func(s *stick) { s.link(s.at(part1)) }},
	{"symlink from part to part", transfer.Altered, func(s *stick) {
		must(s, os.Remove(s.at(part2)))
		must(s, os.Symlink("000001.age", s.at(part2)))
	}},
	{"symlink for the index", transfer.Altered, func(s *stick) { s.link(s.at(manifest.Index)) }},
	{"symlink for the statement", transfer.Altered, func(s *stick) { s.link(s.at(envelope)) }},
	{"symlink for data", transfer.Altered, func(s *stick) { s.link(s.at("data")) }},
	{"symlink for seal", transfer.Altered, func(s *stick) { s.link(s.at("seal")) }},
	{"symlink for the transfer", transfer.ExtraFile, func(s *stick) { s.link(s.at("")) }},
	{"symlink for transfers", transfer.ExtraFile, func(s *stick) { s.link(filepath.Join(s.dir, manifest.Transfers)) }},
	{"symlink for SEKISHO", transfer.ExtraFile, func(s *stick) { s.link(filepath.Join(s.dir, manifest.Root)) }},
	{"symlink for drive.json", transfer.ExtraFile, func(s *stick) { s.link(filepath.Join(s.dir, manifest.DriveFile)) }},
	{"file for SEKISHO", transfer.ExtraFile, func(s *stick) {
		must(s, os.RemoveAll(filepath.Join(s.dir, manifest.Root)))
		writeFile(s, filepath.Join(s.dir, manifest.Root), "")
	}},
	{"file for receipts", transfer.ExtraFile, func(s *stick) { writeFile(s, filepath.Join(s.dir, manifest.Receipts), "") }},
	{"symlink for receipts", transfer.ExtraFile, func(s *stick) { must(s, os.Symlink(s.TempDir(), filepath.Join(s.dir, manifest.Receipts))) }},
	{"folder for a part", transfer.Altered, func(s *stick) {
		must(s, os.Remove(s.at(part1)))
		must(s, os.Mkdir(s.at(part1), 0o755))
	}},
	{"pipe for a part", transfer.Altered, func(s *stick) { must(s, os.Remove(s.at(part1))); must(s, unix.Mkfifo(s.at(part1), 0o644)) }},
	{"pipe for the statement", transfer.Altered, func(s *stick) { must(s, os.Remove(s.at(envelope))); must(s, unix.Mkfifo(s.at(envelope), 0o644)) }},
	{"socket for the index", transfer.Altered, func(s *stick) {
		must(s, os.Remove(s.at(manifest.Index)))
		must(s, unix.Mknod(s.at(manifest.Index), unix.S_IFSOCK|0o644, 0))
	}},
	{"file for data", transfer.Altered, func(s *stick) { must(s, os.RemoveAll(s.at("data"))); writeFile(s, s.at("data"), "") }},
	{"empty folder in data", transfer.ExtraFile, func(s *stick) { must(s, os.Mkdir(s.at("data/x"), 0o755)) }},
	{"empty folder in seal", transfer.ExtraFile, func(s *stick) { must(s, os.Mkdir(s.at("seal/x"), 0o755)) }},
	{"empty folder in the transfer", transfer.ExtraFile, func(s *stick) { must(s, os.Mkdir(s.at("x"), 0o755)) }},
	{"empty folder in SEKISHO", transfer.ExtraFile, func(s *stick) { must(s, os.Mkdir(filepath.Join(s.dir, manifest.Root, "x"), 0o755)) }},
	{"temporary name of the kiosk", transfer.ExtraFile, func(s *stick) { writeFile(s, s.at(part1+".part"), "") }},

	// What is no part of a transfer.
	{"a part with a second name outside", "", func(s *stick) { must(s, os.Link(s.at(part1), filepath.Join(s.dir, "part"))) }},
	{"files outside of SEKISHO", "", func(s *stick) {
		writeFile(s, filepath.Join(s.dir, "autorun.inf"), "x")
		must(s, unix.Mkfifo(filepath.Join(s.dir, "pipe"), 0o644))
		must(s, os.Symlink("/", filepath.Join(s.dir, "root")))
	}},
	{"an unfinished transfer beside", "", func(s *stick) {
		writeFile(s, s.of(s.dir, "../"+manifest.ID(someTime, "k1", 7)+"/data/000001.age"), "x")
	}},
	{"receipts of anything", "", func(s *stick) {
		must(s, os.Mkdir(filepath.Join(s.dir, manifest.Receipts), 0o755))
		writeFile(s, filepath.Join(s.dir, manifest.Receipts, "x.dsse.json"), "{}")
		must(s, os.Symlink("/etc/passwd", filepath.Join(s.dir, manifest.Receipts, "y")))
	}},
}

func sealFiles(t testing.TB) []string {
	return []string{"seal/counter.attest", "seal/counter.sig", "seal/quote.attest", "seal/quote.pcrs", "seal/quote.sig", envelope}
}

// sticks makes the good drive, and the gate it is for. The function it returns
// gives a copy of the drive to alter.
func sticks(t *testing.T) (*kiosk, *gate, func(*testing.T) *stick) {
	k, foreign := newKiosk(t, "k1"), newKiosk(t, "k2")
	g := newGate(t, k)
	foreign.keys = g.keys
	src := night(t, "first")
	good := stick{dir: scratch(t), another: scratch(t), foreign: scratch(t)}
	good.id = k.send(t, src, good.dir).ID()
	k.send(t, night(t, "second"), good.another)
	foreign.send(t, src, good.foreign)
	return k, g, func(t *testing.T) *stick {
		s := good
		s.T, s.dir = t, filepath.Join(scratch(t), "drive")
		must(t, os.CopyFS(s.dir, os.DirFS(good.dir)))
		return &s
	}
}

func TestAlterations(t *testing.T) {
	k, g, copied := sticks(t)
	holds := newGateLike(t, g, k)
	holds.accept(t, copied(t).dir)
	for _, a := range alterations {
		t.Run(a.name, func(t *testing.T) {
			s := copied(t)
			a.do(s)
			fresh := newGateLike(t, g, k)
			s.expect(fresh, a.want, true)
			s.expect(fresh, a.want, false)
			if a.want == "" {
				s.expect(fresh, transfer.AlreadyAccepted, false)
				a.want = transfer.AlreadyAccepted
			}
			s.expect(holds, a.want, true)
			s.expect(holds, a.want, false)
		})
	}
}

// newGateLike is another gate with the keys of g and nothing in its vault.
func newGateLike(t testing.TB, g *gate, k *kiosk) *gate {
	t.Helper()
	other := newGate(t)
	other.kiosks, other.roots, other.keys = g.kiosks, g.roots, g.keys
	other.identity, other.recovery, other.receipts = g.identity, g.recovery, g.receipts
	return other
}

// expect imports the drive, which must end as wanted and, unless it is accepted,
// leave the vault as it is.
func (s *stick) expect(g *gate, want transfer.Reason, verify bool) {
	s.Helper()
	before := snapshot(s, g.path("vault"))
	in := g.inbound(s, s.dir)
	in.VerifyOnly = verify
	outcomes, err := transfer.Import(s.Context(), in)
	if r := refusalOf(outcomes, err); want == "" || want == transfer.AlreadyAccepted {
		if r != nil || len(outcomes) != 1 || outcomes[0].Reason != want || outcomes[0].NoReceipt != nil {
			s.Errorf("verify %v: %+v, %v; want %q", verify, outcomes, r, want)
		}
	} else if r == nil || r.Reason != want {
		s.Errorf("verify %v: refused as %v, want %s", verify, r, want)
	}
	if want != "" || verify {
		same(s, "the vault", before, snapshot(s, g.path("vault")))
	} else if len(generations(s, g)) != 1 {
		s.Error("not one generation")
	}
}

// One bit is flipped in every file of the transfer, at its beginning, in its
// middle and at its end; bytes are added and taken away.
func TestEveryFileAltered(t *testing.T) {
	k, g, copied := sticks(t)
	s := copied(t)
	holds := newGateLike(t, g, k)
	holds.accept(t, copied(t).dir)
	for name, good := range filesOf(s) {
		want := transfer.Altered
		switch {
		case name == manifest.DriveFile:
			want = transfer.WrongDrive
		case strings.Contains(name, "/seal/"):
			want = transfer.BadSeal
		}
		changes := map[string][]byte{"a byte more": append(bytes.Clone(good), 0), "a byte less": good[:len(good)-1], "nothing": nil}
		for _, at := range []int{0, len(good) / 2, len(good) - 1} {
			flipped := bytes.Clone(good)
			flipped[at] ^= 1
			changes[fmt.Sprint("a bit at ", at)] = flipped
		}
		for what, data := range changes {
			writeFile(t, filepath.Join(s.dir, name), string(data))
			for _, g := range []*gate{g, holds} {
				for _, verify := range []bool{true, false} {
					in := g.inbound(t, s.dir)
					in.VerifyOnly = verify
					if r := refusalOf(transfer.Import(t.Context(), in)); r == nil || r.Reason != want {
						t.Errorf("%s, %s: %v, want %s", name, what, r, want)
					}
				}
			}
		}
		writeFile(t, filepath.Join(s.dir, name), string(good))
	}
	must(t, os.RemoveAll(filepath.Join(s.dir, manifest.Receipts)))
	s.expect(g, "", false) // it was the alterations
}

// filesOf is every file of the drive below SEKISHO but the receipts.
func filesOf(s *stick) map[string][]byte {
	all := make(map[string][]byte)
	must(s, filepath.WalkDir(filepath.Join(s.dir, manifest.Root), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(s.dir, path)
		if err != nil || strings.HasPrefix(name, manifest.Receipts) {
			return err
		}
		all[name], err = os.ReadFile(path)
		return err
	}))
	return all
}

// A hundred thousand empty files: refused without reading them all where they
// have no place, and no matter where nobody looks.
func TestManyFiles(t *testing.T) {
	_, g, copied := sticks(t)
	many := filepath.Join(scratch(t), "many")
	must(t, os.Mkdir(many, 0o755))
	for i := range 100_000 {
		fd, err := unix.Open(filepath.Join(many, fmt.Sprintf("%06d.x", i)), unix.O_CREAT|unix.O_WRONLY, 0o644)
		must(t, err)
		must(t, unix.Close(fd))
	}
	s := copied(t)
	for _, c := range []struct {
		folder string
		want   transfer.Reason
	}{
		{manifest.Root, transfer.ExtraFile}, {manifest.Transfers, transfer.ExtraFile},
		{manifest.Transfers + "/" + s.id, transfer.ExtraFile}, {manifest.Transfers + "/" + s.id + "/data", transfer.ExtraFile},
		{manifest.Transfers + "/" + s.id + "/seal", transfer.ExtraFile},
		{manifest.Receipts, ""}, {".", transfer.AlreadyAccepted},
	} {
		t.Run(c.folder, func(t *testing.T) {
			s.T = t
			// The full folder takes the place of the drive's.
			folder := filepath.Join(s.dir, c.folder)
			must(t, os.MkdirAll(folder, 0o755))
			names, err := os.ReadDir(folder)
			must(t, err)
			for _, n := range names {
				must(t, os.Rename(filepath.Join(folder, n.Name()), filepath.Join(many, n.Name())))
			}
			must(t, os.Remove(folder))
			must(t, os.Rename(many, folder))
			s.expect(g, c.want, false)
			must(t, os.Rename(folder, many))
			must(t, os.Mkdir(folder, 0o755))
			for _, n := range names {
				must(t, os.Rename(filepath.Join(many, n.Name()), filepath.Join(folder, n.Name())))
			}
		})
	}
}

// What lies in receipts/ is no part of a transfer: the gate reads none of it. It
// writes its own receipt there, in the place of whatever has that name, and
// follows nothing.
func TestReceiptsOnTheDrive(t *testing.T) {
	k, g, copied := sticks(t)
	for name, put := range map[string]func(s *stick, path string){
		"an older receipt": func(s *stick, path string) { writeFile(s, path, "{}") },
		"a link":           func(s *stick, path string) { must(s, os.Symlink(filepath.Join(s.dir, "victim"), path)) },
		"a second name":    func(s *stick, path string) { must(s, os.Link(filepath.Join(s.dir, "victim"), path)) },
		"a folder":         func(s *stick, path string) { writeFile(s, filepath.Join(path, "x"), "") },
		"a pipe":           func(s *stick, path string) { must(s, unix.Mkfifo(path, 0o644)) },
		"1 TB":             func(s *stick, path string) { writeFile(s, path, ""); must(s, os.Truncate(path, 1<<40)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := copied(t)
			victim := filepath.Join(s.dir, "victim")
			writeFile(t, victim, "not to be touched")
			path := filepath.Join(s.dir, manifest.Receipts, s.id+".dsse.json")
			must(t, os.Mkdir(filepath.Dir(path), 0o755))
			put(s, path)
			g := newGateLike(t, g, k)
			s.expect(g, "", false)
			data, err := os.ReadFile(path)
			must(t, err)
			if _, err := transfer.OpenReceipt(data, g.name, g.receipts.Public()); err != nil {
				t.Error(err)
			}
			if data, err := os.ReadFile(victim); err != nil || string(data) != "not to be touched" {
				t.Errorf("the victim: %q, %v", data, err)
			}
		})
	}
}

// Thousands of alterations that nobody thought of. A gate that does not have the
// transfer and one that has it see each; neither may accept it or change.
func TestRandomAlterations(t *testing.T) {
	k, g, copied := sticks(t)
	holds := newGateLike(t, g, k)
	holds.accept(t, copied(t).dir)
	const rounds, workers = 2400, 2
	for w := range workers {
		t.Run(fmt.Sprint("seed ", w), func(t *testing.T) {
			t.Parallel()
			s := copied(t)
			c := &chaos{stick: s, rng: rand.New(rand.NewPCG(7, uint64(w))), good: filesOf(s)}
			c.names = slices.Sorted(maps.Keys(c.good))
			other := *s
			other.dir = s.another
			c.other = filesOf(&other)
			empty, full := newGateLike(t, g, k), newGateLike(t, g, k)
			full.vault = holds.vault // nobody writes into it, or this test fails
			if w > 0 {
				full = newGateLike(t, g, k)
				full.accept(t, copied(t).dir)
			}
			vaults := []map[string]string{snapshot(t, empty.path("vault")), snapshot(t, full.vault.Dir())}
			in := []transfer.Inbound{empty.inbound(t, s.dir), full.inbound(t, s.dir)}
			for i := range rounds / workers {
				what, undo := c.alter()
				if what == "" {
					continue
				}
				for j := range in {
					in := in[j]
					in.VerifyOnly = i%4 != 0
					if in.VerifyOnly && (i+j)%2 == 0 {
						continue // the other gate's turn; importing is tried at both
					}
					if r := refusalOf(transfer.Import(t.Context(), in)); r == nil {
						t.Fatalf("%s: accepted (verify %v)", what, in.VerifyOnly)
					} else if r.Reason == transfer.Failed {
						t.Errorf("%s: %v is no reason", what, r)
					}
				}
				undo()
				if left, err := os.ReadDir(empty.path("vault/staging")); err != nil || len(left) > 0 {
					t.Fatalf("%s: staging holds %v, %v", what, left, err)
				}
			}
			same(t, "the empty vault", vaults[0], snapshot(t, empty.path("vault")))
			same(t, "the vault", vaults[1], snapshot(t, full.vault.Dir()))
			must(t, os.RemoveAll(filepath.Join(s.dir, manifest.Receipts)))
			s.expect(full, transfer.AlreadyAccepted, false) // the drive is good again
			s.expect(empty, "", false)
			t.Log(c.done)
		})
	}
}

// chaos alters a drive at random, and knows how to take each alteration back.
type chaos struct {
	*stick
	rng   *rand.Rand
	good  map[string][]byte // by name on the drive
	other map[string][]byte // of another night
	names []string          // of good
	done  map[string]int
}

// alter changes one thing. It returns "" when the change is none.
func (c *chaos) alter() (what string, undo func()) {
	name := c.names[c.rng.IntN(len(c.names))]
	path := filepath.Join(c.dir, name)
	data := bytes.Clone(c.good[name])
	at := c.rng.IntN(len(data))
	restore := func() { writeFile(c, path, string(c.good[name])) }
	kind := []string{"flip", "flip", "flip", "byte", "truncate", "append", "cut out", "insert", "delete", "rename", "swap", "replace", "zero", "add file", "add folder", "folder"}[c.rng.IntN(16)]
	if c.done == nil {
		c.done = make(map[string]int)
	}
	c.done[kind]++
	what = fmt.Sprintf("%s %s at %d", kind, name, at)
	switch kind {
	case "flip":
		data[at] ^= 1 << c.rng.IntN(8)
	case "byte":
		data[at] += byte(1 + c.rng.IntN(255))
	case "truncate":
		data = data[:at]
	case "append":
		data = append(data, make([]byte, 1+c.rng.IntN(5000))...)
	case "cut out":
		data = slices.Delete(data, at, min(at+1+c.rng.IntN(100), len(data)))
	case "insert":
		data = slices.Insert(data, at, byte(c.rng.IntN(256)))
	case "zero":
		clear(data[at:min(at+64, len(data))])
	case "replace":
		from := c.names[c.rng.IntN(len(c.names))]
		data = bytes.Clone(c.good[from])
		for other, d := range c.other { // the same file of another night, or any of this
			if c.rng.IntN(2) == 0 && filepath.Base(other) == filepath.Base(name) {
				data = bytes.Clone(d)
			}
		}
	case "delete":
		must(c, os.Remove(path))
		return what, restore
	case "rename":
		to := path + string(rune('a'+c.rng.IntN(26)))
		must(c, os.Rename(path, to))
		return what, func() { must(c, os.Rename(to, path)) }
	case "swap":
		with := c.names[c.rng.IntN(len(c.names))]
		if bytes.Equal(c.good[with], data) {
			return "", nil
		}
		writeFile(c, path, string(c.good[with]))
		writeFile(c, filepath.Join(c.dir, with), string(data))
		return what + " with " + with, func() { restore(); writeFile(c, filepath.Join(c.dir, with), string(c.good[with])) }
	case "add file", "add folder":
		extra := filepath.Join(filepath.Dir(path), fmt.Sprintf("%06d.age", 50+c.rng.IntN(100)))
		if kind == "add file" {
			writeFile(c, extra, "x")
		} else {
			must(c, os.Mkdir(extra, 0o755))
		}
		return what, func() { must(c, os.Remove(extra)) }
	case "folder": // in the place of the file
		must(c, os.Remove(path))
		must(c, os.Mkdir(path, 0o755))
		return what, func() { must(c, os.Remove(path)); restore() }
	}
	if bytes.Equal(data, c.good[name]) {
		return "", nil
	}
	writeFile(c, path, string(data))
	return what, restore
}
