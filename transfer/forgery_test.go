package transfer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// forgery is a bag made by hand and sealed with a kiosk's real key: what a gate
// gets from an enrolled kiosk whose program was taken over. Unchanged it is a
// good bag. Its hooks change it on the way, in this order.
type forgery struct {
	kiosk *kiosk
	st    manifest.Statement
	lines []manifest.Entry
	data  []string // contents, by line

	entries   func()                                  // lines and data, before they are laid out
	plain     func()                                  // index, sums, details, parts
	to        map[string][]age.Recipient              // other recipients, by name
	cipher    func(name string, data []byte) []byte   // of every encrypted file
	tags      map[string][]byte                       // other plain tag files, by name
	list      func([]byte) []byte                     // the tag manifest
	statement func()                                  // st, before it is marshalled
	text      func(string) string                     // its bytes, before they are sealed
	sealer    func(text []byte) (*seal.Sealed, error) // instead of the next counter value

	dir string // the drive it was put on, when the test wants to know

	index, sums, details []byte
	parts                [][]byte
}

var someTime = time.Date(2026, 11, 22, 21, 40, 0, 123456789, time.UTC)

// newForgery begins a bag with one folder and two files, in two parts.
func newForgery(t testing.TB, k *kiosk, number int64) *forgery {
	t.Helper()
	return &forgery{
		kiosk: k,
		lines: []manifest.Entry{
			{Path: "a", Type: manifest.Folder, ModTime: someTime},
			{Path: "a/x", Type: manifest.File, ModTime: someTime, Verdict: manifest.Clean},
			{Path: "b", Type: manifest.File, ModTime: someTime, Verdict: manifest.Clean},
		},
		data: []string{"", "hello", text("b", 700)},
		st: manifest.Statement{
			Transfer: manifest.ID(someTime, k.name, number), Kiosk: k.name, Number: number, Workflow: 1,
			DataAsOf: someTime.Truncate(time.Second), AsOf: "start of reading", Prepared: time.Now().UTC().Truncate(time.Second),
			TimeFrom: "system clock", Software: "forgery", SoftTPM: true, Ledger: string(k.ledger.Checkpoint()),
			Engines: []manifest.Engine{{Name: "ClamAV", Version: "1", Newest: someTime}},
		},
	}
}

// layout places each line: what begins with "b" or later begins part 2.
func (f *forgery) layout(t testing.TB) {
	f.parts = [][]byte{nil}
	for i := range f.lines {
		e := &f.lines[i]
		if e.Type == manifest.File && e.SHA256 == nil {
			sum := manifest.Hash(sha256.Sum256([]byte(f.data[i])))
			e.SHA256, e.Size = &sum, int64(len(f.data[i]))
		}
		if e.Verdict == manifest.Detected || e.Verdict == manifest.Unscannable || e.Type == manifest.Other {
			continue
		}
		if e.Path >= "b" && len(f.parts) == 1 && len(f.parts[0]) > 0 {
			f.parts = append(f.parts, nil)
		}
		e.Part = len(f.parts)
		part := &f.parts[e.Part-1]
		e.Offset = int64(len(*part))
		header, err := manifest.Header(e)
		must(t, err)
		*part = append(append(append(*part, header...), f.data[i]...), make([]byte, manifest.Padding(int64(len(f.data[i]))))...)
	}
	last := &f.parts[len(f.parts)-1]
	*last = append(*last, manifest.Trailer...)
}

// lists makes index, checksum list and details of the lines. Nothing is checked
// on the way, as the index's own writer would.
func (f *forgery) lists(t testing.TB) {
	var index, sums bytes.Buffer
	enc := json.NewEncoder(&index)
	enc.SetEscapeHTML(false)
	must(t, enc.Encode(struct {
		Format   string `json:"format"`
		Transfer string `json:"transfer"`
	}{"sekisho-index/1", f.st.Transfer}))
	counts := make(map[string]manifest.Count)
	f.st.Folders = 0
	for i := range f.lines {
		e := &f.lines[i]
		must(t, enc.Encode(e))
		if e.Type == manifest.Folder {
			f.st.Folders++
			continue
		}
		c := counts[e.Verdict]
		c.Files++
		c.Bytes += e.Size
		counts[e.Verdict] = c
		if e.Carried() {
			sums.Write(manifest.FileSum(e))
		}
	}
	f.st.Counts = nil
	for _, v := range manifest.Verdicts {
		c := counts[v]
		c.Verdict = v
		f.st.Counts = append(f.st.Counts, c)
	}
	f.st.Partial = counts[manifest.Detected].Files+counts[manifest.Unscannable].Files > 0
	f.index, f.sums = index.Bytes(), sums.Bytes()
	var err error
	f.details, err = (&manifest.Details{Transfer: f.st.Transfer, Workflow: "export", Source: "/export", Started: f.st.DataAsOf}).Marshal()
	must(t, err)
}

// put writes the bag onto the drive in the folder dir and seals it.
func (f *forgery) put(t testing.TB, dir string) {
	t.Helper()
	call(f.entries)
	f.layout(t)
	f.lists(t)
	call(f.plain)
	folder := filepath.Join(dir, manifest.Transfers, f.st.Transfer)
	files := map[string][]byte{
		manifest.Index:       f.encrypt(t, manifest.Index, f.index),
		manifest.FileSums:    f.encrypt(t, manifest.FileSums, f.sums),
		manifest.DetailsFile: f.encrypt(t, manifest.DetailsFile, f.details),
		manifest.BagIt:       []byte(manifest.BagItText),
		manifest.Script:      manifest.RecoverScript,
	}
	var parts []manifest.Sum
	var size int64
	f.st.Sizes = manifest.Sizes{}
	for i, p := range f.parts {
		name := manifest.PartName(i + 1)
		files[name] = f.encrypt(t, name, p)
		parts = append(parts, manifest.Sum{Name: name, SHA256: sha256.Sum256(files[name])})
		f.st.Sizes.Parts = append(f.st.Sizes.Parts, int64(len(files[name])))
		size += int64(len(files[name]))
	}
	files[manifest.Manifest] = manifest.MarshalSums(parts)
	files[manifest.BagInfo] = manifest.Info(f.st.Transfer, f.st.Prepared, len(parts), size)
	for name, data := range f.tags {
		files[name] = data
	}
	var tags []manifest.Sum
	for _, name := range manifest.TagFiles {
		tags = append(tags, manifest.Sum{Name: name, SHA256: sha256.Sum256(files[name])})
		f.st.Sizes.Tags = append(f.st.Sizes.Tags, manifest.Size{Name: name, Bytes: int64(len(files[name]))})
	}
	list := manifest.MarshalSums(tags)
	if f.list != nil {
		list = f.list(list)
	}
	files[manifest.TagManifest] = list
	f.st.Sizes.TagManifest, f.st.Payload = int64(len(list)), sha256.Sum256(list)

	for name, data := range files {
		writeFile(t, filepath.Join(folder, name), string(data))
	}
	f.seal(t, dir, folder)
}

func call(hook func()) {
	if hook != nil {
		hook()
	}
}

func (f *forgery) encrypt(t testing.TB, name string, plain []byte) []byte {
	t.Helper()
	to := f.to[name]
	if to == nil {
		to = []age.Recipient{hybrid(t, f.kiosk.keys.Encryption), hybrid(t, f.kiosk.keys.Recovery)}
	}
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, to...)
	must(t, err)
	_, err = w.Write(plain)
	must(t, err)
	must(t, w.Close())
	if f.cipher != nil {
		return f.cipher(name, buf.Bytes())
	}
	return buf.Bytes()
}

func hybrid(t testing.TB, recipient string) age.Recipient {
	t.Helper()
	r, err := age.ParseHybridRecipient(recipient)
	must(t, err)
	return r
}

// seal seals the statement at the next counter value.
func (f *forgery) seal(t testing.TB, dir, folder string) {
	t.Helper()
	d := openDrive(t, dir)
	id, err := d.ID(manifest.DriveFile)
	if err != nil {
		id, err = d.Prepare(manifest.DriveFile)
	}
	must(t, err)
	counter, err := f.kiosk.sealer.Counter()
	must(t, err)
	f.st.Drive, f.st.Counter, f.st.Time = id, counter+1, time.Now().UTC().Truncate(time.Second)
	f.st.GateKeys, err = f.kiosk.keys.Digest()
	must(t, err)
	f.st.Previous = f.kiosk.previous
	call(f.statement)
	data, err := f.st.Marshal()
	must(t, err)
	if f.text != nil {
		data = []byte(f.text(string(data)))
	}
	if f.sealer == nil {
		f.sealer = func(text []byte) (*seal.Sealed, error) {
			if _, err := f.kiosk.sealer.Increment(); err != nil {
				return nil, err
			}
			return f.kiosk.sealer.Seal(manifest.StatementType, text)
		}
	}
	sealed, err := f.sealer(data)
	must(t, err)
	sum := manifest.Hash(sha256.Sum256(data))
	f.kiosk.previous = &sum
	for name, data := range sealed.Evidence.Files() {
		writeFile(t, filepath.Join(folder, manifest.SealDir, name), string(data))
	}
	writeFile(t, filepath.Join(folder, manifest.SealDir, manifest.Envelope), string(sealed.Envelope))
}

func writeFile(t testing.TB, path, data string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(data), 0o644))
}

// edit replaces one occurrence of a text in a document, which must be there.
func edit(t testing.TB, doc *[]byte, from, to string) {
	t.Helper()
	if n := strings.Count(string(*doc), from); n == 0 {
		t.Fatalf("%q is not in %q", from, *doc)
	}
	*doc = []byte(strings.Replace(string(*doc), from, to, 1))
}
