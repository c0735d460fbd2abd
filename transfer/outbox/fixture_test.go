package outbox

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"sekisho/transfer/manifest"
)

// keys are the gate's and the recovery key of a test.
type keys struct {
	gate, recovery *age.HybridIdentity
}

func newKeys(t testing.TB) *keys {
	t.Helper()
	k := new(keys)
	for _, id := range []**age.HybridIdentity{&k.gate, &k.recovery} {
		made, err := age.GenerateHybridIdentity()
		if err != nil {
			t.Fatal(err)
		}
		*id = made
	}
	return k
}

func (k *keys) to(t testing.TB) []age.Recipient {
	t.Helper()
	var to []age.Recipient
	for _, id := range []*age.HybridIdentity{k.gate, k.recovery} {
		r, err := Hybrid(id.Recipient().String())
		if err != nil {
			t.Fatal(err)
		}
		to = append(to, r)
	}
	return to
}

func openOutbox(t testing.TB, dir string) *Outbox {
	t.Helper()
	o, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func testPlan(partSize int64) Plan {
	return Plan{Workflow: "export", Number: 1, Source: "/mnt/export", Kiosk: "k1", PartSize: partSize,
		Policy: sha256.Sum256([]byte("policy")), Definitions: sha256.Sum256([]byte("definitions")), GateKeys: sha256.Sum256([]byte("keys"))}
}

// patient is in the name and the content of files, to be looked for on disk.
const patient = "9999013"

var modTime = time.Date(2026, 11, 22, 3, 4, 5, 678, time.UTC)

// file is one entry of a source, as the flow would hand it to a draft.
type file struct {
	entry   manifest.Entry
	origin  Origin
	content []byte // nil: nothing to pack or keep
}

func folder(path string) file {
	return file{entry: manifest.Entry{Path: manifest.Path(path), Type: manifest.Folder, ModTime: modTime}}
}

func ofSize(path string, verdict string, size int) file {
	content := make([]byte, size)
	r := rand.New(rand.NewPCG(uint64(size), uint64(len(path))))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	copy(content, "patient "+patient)
	sum := manifest.Hash(sha256.Sum256(content))
	f := file{content: content, origin: Origin{Device: 1, Inode: uint64(size), Size: int64(size), ModTime: 2, Changed: 3},
		entry: manifest.Entry{Path: manifest.Path(path), Type: manifest.File, Size: int64(size), ModTime: modTime, SHA256: &sum, Verdict: verdict}}
	if verdict != manifest.Clean {
		f.entry.Findings = []manifest.Finding{{Engine: "clamd", Name: "Sekisho.Test"}}
	}
	return f
}

func unread(path string, of manifest.Type) file {
	return file{entry: manifest.Entry{Path: manifest.Path(path), Type: of, Size: 77, ModTime: modTime, Verdict: manifest.Unscannable,
		Findings: []manifest.Finding{{Engine: "source", Name: "Unreadable"}}}}
}

const partSize = 16 << 10

// night is a source that has everything a part can begin, end or run on with.
func night() []file {
	night := []file{
		folder("999"),
		ofSize("999/"+patient+"_ADT-00", manifest.Clean, 1000),
		ofSize("999/"+patient+"_empty", manifest.Clean, 0),
		ofSize("999/"+patient+"_virus", manifest.Detected, 700),
		ofSize("999/"+patient+"_zip", manifest.Unscannable, 5000),
		folder("999/\x8a\xb3\x8e\xd2"), // Shift_JIS
		ofSize("999/\x8a\xb3\x8e\xd2/line\nbreak", manifest.Clean, 9000),
		unread("999/\x8a\xb3\x8e\xd2/locked", manifest.File),
		ofSize("aligned", manifest.Exempt, 4*manifest.Block),
		unread("fifo", manifest.Other),
		ofSize("large", manifest.Clean, 3*partSize+100),
		ofSize("larger", manifest.Detected, 2*partSize),
		ofSize("next", manifest.Clean, 10),
		ofSize(strings.Repeat("長い", 40), manifest.Clean, 12000),
		ofSize("長い文書.pdf", manifest.Clean, 6000),
	}
	slices.SortFunc(night, func(a, b file) int { return a.entry.Path.Compare(b.entry.Path) })
	return night
}

// add hands files to a draft, as a reading does.
func add(d *Draft, files []file) error {
	for _, f := range files {
		e := f.entry
		var content io.Reader
		if f.content != nil {
			content = bytes.NewReader(f.content)
		}
		rule := ""
		if e.Verdict == manifest.Exempt {
			rule = "by it-01"
		}
		if err := d.Add(&e, f.origin, rule, content); err != nil {
			return err
		}
	}
	return nil
}

// finish counts what the draft's journal holds and completes the bag.
func finish(d *Draft, files []file, held string) (*Bag, error) {
	st := manifest.Statement{DataAsOf: d.Plan.Started, AsOf: "start of reading", Counts: make([]manifest.Count, len(manifest.Verdicts)),
		Engines: []manifest.Engine{{Name: "clamd", Version: "test"}}}
	for i, v := range manifest.Verdicts {
		st.Counts[i].Verdict = v
		for _, f := range files {
			if f.entry.Verdict == v {
				st.Counts[i].Files++
				st.Counts[i].Bytes += f.entry.Size
			}
		}
	}
	return d.Finish(st, &manifest.Details{Transfer: d.Plan.Transfer, Workflow: d.Plan.Workflow, Source: d.Plan.Source, Started: d.Plan.Started,
		Definitions: []manifest.DefinitionFile{}, Exemptions: []manifest.Exemption{}}, held)
}

// prepare makes a bag of files in one go.
func prepare(t testing.TB, o *Outbox, k *keys, files []file, held string) *Bag {
	t.Helper()
	d, err := o.Begin(testPlan(partSize), k.to(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := add(d, files); err != nil {
		t.Fatal(err)
	}
	b, err := finish(d, files, held)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decrypt(t testing.TB, path string, id age.Identity) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := age.Decrypt(f, id)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return data
}

// opened is what a bag holds, in clear.
type opened struct {
	entries    []manifest.Entry
	parts      []string // plaintext
	sums       string
	quarantine map[string]string // plaintext by file name
}

// open decrypts a bag with the recovery key and holds its checksums against it.
func (k *keys) open(t testing.TB, b *Bag) *opened {
	t.Helper()
	x := &opened{quarantine: make(map[string]string)}
	for i := range b.Statement.Sizes.Parts {
		path := filepath.Join(b.Dir(), manifest.PartName(i+1))
		if st, err := os.Stat(path); err != nil || st.Size() != b.Statement.Sizes.Parts[i] {
			t.Fatalf("part %d: %v, %d bytes stated", i+1, err, b.Statement.Sizes.Parts[i])
		}
		x.parts = append(x.parts, string(decrypt(t, path, k.recovery)))
	}
	r, err := manifest.NewIndexReader(bytes.NewReader(decrypt(t, filepath.Join(b.Dir(), manifest.Index), k.recovery)), b.ID())
	if err != nil {
		t.Fatal(err)
	}
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		x.entries = append(x.entries, *e)
	}
	x.sums = string(decrypt(t, filepath.Join(b.Dir(), manifest.FileSums), k.gate))
	if _, err := manifest.ParseDetails(bytes.NewReader(decrypt(t, filepath.Join(b.Dir(), manifest.DetailsFile), k.gate)), b.ID()); err != nil {
		t.Fatal(err)
	}
	if dir := b.Quarantine(); dir != "" {
		for _, name := range names(t, dir) {
			x.quarantine[name] = string(decrypt(t, filepath.Join(dir, name), k.recovery))
		}
	}
	return x
}

// names lists every file below dir, as paths relative to it.
func names(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			path, err = filepath.Rel(dir, path)
			list = append(list, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return list
}
