package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	"filippo.io/age"

	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// example makes the transfer's files, by path. Its randomness is fixed.
type example struct {
	t        *testing.T
	files    map[string][]byte
	keys     *manifest.KeySet
	to       []age.Recipient
	receipts *seal.PrivateKey
	parts    []*bytes.Buffer // plaintext
	ranOn    bool            // the last member ran on into another part
	index    []*manifest.Entry
}

func makeExample(t *testing.T) map[string][]byte {
	cryptotest.SetGlobalRandom(t, 42)
	x := &example{t: t, files: make(map[string][]byte)}
	x.gate()
	x.source()
	statement := x.bag()
	x.receipt(statement)
	return x.files
}

func (x *example) key(name string) *seal.PrivateKey {
	k, err := seal.CreatePrivateKey(filepath.Join(x.t.TempDir(), name))
	must(x.t, err)
	return k
}

func (x *example) public(name string) string { return string(x.key(name).Public().Marshal()) }

func (x *example) gate() {
	var recipients []string
	for _, name := range []string{"gate.key", "recovery.key"} {
		id, err := age.GenerateHybridIdentity()
		must(x.t, err)
		x.files[name] = fmt.Appendf(nil, "# %s of the example in FORMAT.md, and of nothing else\n%s\n", name, id)
		x.to = append(x.to, id.Recipient())
		recipients = append(recipients, id.Recipient().String())
	}
	x.receipts = x.key("receipts")
	x.keys = &manifest.KeySet{Gate: "gate1", Encryption: recipients[0], Recovery: recipients[1],
		Receipts: string(x.receipts.Public().Marshal()), Ledger: x.public("ledger"),
		Approvals: x.public("approvals"), Definitions: x.public("definitions"), Reports: x.public("reports")}
	data, err := x.keys.Marshal()
	must(x.t, err)
	x.files["keys.json"] = data
}

const partSize = 4096 // plaintext of a part; real ones have half a gigabyte

// add puts an entry into index and tar.
func (x *example) add(e manifest.Entry, content string) {
	e.Size, e.ModTime = int64(len(content)), evening.Add(-time.Duration(len(x.index)+1)*time.Hour)
	if e.Type == manifest.File {
		sum := manifest.Hash(sha256.Sum256([]byte(content)))
		e.SHA256 = &sum
	}
	if e.Type == manifest.Folder || e.Verdict == manifest.Clean || e.Verdict == manifest.Exempt {
		header, err := manifest.Header(&e)
		must(x.t, err)
		last := func() *bytes.Buffer { return x.parts[len(x.parts)-1] }
		size := len(header) + len(content) + int(manifest.Padding(e.Size))
		if len(x.parts) == 0 || x.ranOn || last().Len()+size > partSize {
			x.parts = append(x.parts, new(bytes.Buffer))
		}
		e.Part, e.Offset = len(x.parts), int64(last().Len())
		last().Write(header)
		for rest := content; rest != ""; {
			if last().Len() >= partSize {
				x.parts = append(x.parts, new(bytes.Buffer))
			}
			n := min(len(rest), partSize-last().Len())
			last().WriteString(rest[:n])
			rest = rest[n:]
		}
		last().Write(make([]byte, manifest.Padding(e.Size)))
		x.ranOn = len(x.parts) != e.Part
	}
	x.index = append(x.index, &e)
}

func (x *example) source() {
	clean := func(path, content string) {
		x.add(manifest.Entry{Path: manifest.Path(path), Type: manifest.File, Verdict: manifest.Clean}, content)
	}
	folder := func(path string) { x.add(manifest.Entry{Path: manifest.Path(path), Type: manifest.Folder}, "") }
	found := func(engine, name string) []manifest.Finding {
		return []manifest.Finding{{Engine: engine, Name: name}}
	}
	clean("EXPORT.LOG", "正常終了\n")
	folder("SCAN")
	x.add(manifest.Entry{Path: "SCAN/invoice.doc", Type: manifest.File, Verdict: manifest.Detected,
		Findings: found("clamd", "Sekisho.Demo.Test")}, "what this would hold is in the quarantine")
	clean("SCAN/紹介状.pdf", "%PDF-1.7 of nobody\n")
	clean("TABLE.TXT", strings.Repeat("a row of a table that is larger than a part\n", 150))
	x.add(manifest.Entry{Path: "TOOL.EXE", Type: manifest.File, Verdict: manifest.Exempt,
		Findings: []manifest.Finding{{Engine: "yara", Name: "program", Where: "bytes 0 to 2"}}}, "MZ")
	folder("empty")
	x.add(manifest.Entry{Path: "link", Type: manifest.Other, Verdict: manifest.Unscannable, Findings: found("source", "NotAFile.symlink")}, "")
	clean("\x8e\xd0.csv", "")
	x.parts[len(x.parts)-1].Write(manifest.Trailer)
}

// encrypt puts an object into the bag, encrypted, and its plaintext beside.
func (x *example) encrypt(name, plain string, data []byte) {
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, x.to...)
	must(x.t, err)
	_, err = w.Write(data)
	must(x.t, err)
	must(x.t, w.Close())
	x.files[exampleBag+name] = buf.Bytes()
	x.files["plain/"+plain] = data
}

func (x *example) sum(name string) manifest.Sum {
	return manifest.Sum{Name: name, SHA256: sha256.Sum256(x.files[exampleBag+name])}
}

func (x *example) bag() *manifest.Statement {
	var index, sums bytes.Buffer
	w, err := manifest.NewIndexWriter(&index, transfer)
	must(x.t, err)
	st := &manifest.Statement{
		Transfer: transfer, Kiosk: "k3", Number: 42, Workflow: 1, Counter: 108, Gaps: []uint64{107},
		DataAsOf: evening.Add(-5 * time.Minute), AsOf: "start of reading", Prepared: evening, Time: evening.Add(time.Hour), TimeFrom: "system clock",
		Staff: "4711", Drive: "8f14e45fceea167a5a36dedd4bea2543", Policy: sha256.Sum256([]byte("a policy")),
		Software: "sekisho kiosk 1.0.0", SoftTPM: true, Partial: true,
	}
	previous := manifest.Hash(sha256.Sum256([]byte("the statement at counter 106")))
	st.Previous = &previous
	counts := make(map[string]manifest.Count)
	for _, e := range x.index {
		must(x.t, w.Write(e))
		if e.Type == manifest.Folder {
			st.Folders++
			continue
		}
		if e.Carried() {
			sums.Write(manifest.FileSum(e))
		}
		counts[e.Verdict] = manifest.Count{Verdict: e.Verdict, Files: counts[e.Verdict].Files + 1, Bytes: counts[e.Verdict].Bytes + e.Size}
	}
	for _, v := range manifest.Verdicts {
		st.Counts = append(st.Counts, manifest.Count{Verdict: v, Files: counts[v].Files, Bytes: counts[v].Bytes})
	}
	details := &manifest.Details{Transfer: transfer, Workflow: "export", Source: "/srv/export", Started: evening.Add(-5 * time.Minute),
		Definitions: []manifest.DefinitionFile{
			{Engine: "clamd", Name: "sekisho-demo.ndb", Size: 61, SHA256: sha256.Sum256([]byte("ndb")), Time: evening.AddDate(0, -1, 0)},
			{Engine: "yara", Name: "any/program.yar", Size: 93, SHA256: sha256.Sum256([]byte("yar")), Time: evening.AddDate(0, -1, 0)}},
		Exemptions: []manifest.Exemption{{Rule: `path="" signature="program" sha256="" until=2027-06-30T00:00:00Z by="it-01": the vendor's tool`, Files: 1}}}
	list, err := details.Marshal()
	must(x.t, err)
	for _, d := range details.Definitions {
		st.Engines = append(st.Engines, manifest.Engine{Name: d.Engine, Version: map[string]string{"clamd": "ClamAV 1.4.3", "yara": "libyara 4.2.3"}[d.Engine],
			Definitions: sha256.Sum256([]byte(d.Name)), Newest: d.Time, Demonstration: true})
	}

	var parts []manifest.Sum
	var total int64
	for i, p := range x.parts {
		name := manifest.PartName(i + 1)
		x.encrypt(name, fmt.Sprintf("%06d.tar", i+1), p.Bytes())
		parts = append(parts, x.sum(name))
		st.Sizes.Parts = append(st.Sizes.Parts, int64(len(x.files[exampleBag+name])))
		total += st.Sizes.Parts[i]
	}
	x.encrypt(manifest.Index, "index.jsonl", index.Bytes())
	x.encrypt(manifest.FileSums, "files.sha256", sums.Bytes())
	x.encrypt(manifest.DetailsFile, "details.jsonl", list)
	x.files[exampleBag+manifest.BagIt] = []byte(manifest.BagItText)
	x.files[exampleBag+manifest.BagInfo] = manifest.Info(transfer, st.Prepared, len(parts), total)
	x.files[exampleBag+manifest.Manifest] = manifest.MarshalSums(parts)
	x.files[exampleBag+manifest.Script] = manifest.RecoverScript
	var tags []manifest.Sum
	for _, name := range manifest.TagFiles {
		tags = append(tags, x.sum(name))
		st.Sizes.Tags = append(st.Sizes.Tags, manifest.Size{Name: name, Bytes: int64(len(x.files[exampleBag+name]))})
	}
	x.files[exampleBag+manifest.TagManifest] = manifest.MarshalSums(tags)
	st.Sizes.TagManifest = int64(len(x.files[exampleBag+manifest.TagManifest]))
	st.Payload = x.sum(manifest.TagManifest).SHA256
	keys, err := x.keys.Digest()
	must(x.t, err)
	st.GateKeys = keys
	st.Ledger = x.checkpoint("sekisho/kiosk/k3")

	text, err := st.Marshal()
	must(x.t, err)
	x.files["plain/statement.json"] = text
	envelope, err := x.key("kiosk").Sign(manifest.StatementType, text)
	must(x.t, err)
	x.files[exampleBag+manifest.SealDir+"/"+manifest.Envelope] = envelope
	x.files["drive/"+manifest.DriveFile] = fmt.Appendf(nil, `{"format":"sekisho-drive/1","id":%q}`+"\n", st.Drive)
	return st
}

func (x *example) checkpoint(origin string) string {
	l, err := ledger.Open(filepath.Join(x.t.TempDir(), "ledger"), origin, x.key("ledger").Signer())
	must(x.t, err)
	_, err = l.Append(ledger.Record{Time: evening, Event: ledger.Start})
	must(x.t, err)
	checkpoint := string(l.Checkpoint())
	must(x.t, l.Close())
	return checkpoint
}

func (x *example) receipt(st *manifest.Statement) {
	r := &manifest.Receipt{Gate: "gate1", Transfer: transfer, Kiosk: "k3", Counter: st.Counter, Payload: st.Payload, Result: manifest.Accepted,
		Generation: transfer, Scanned: true, Engines: st.Engines[:1], Time: evening.Add(2 * time.Hour), Ledger: x.checkpoint("sekisho/gate/gate1")}
	text, err := r.Marshal()
	must(x.t, err)
	x.files["plain/receipt.json"] = text
	envelope, err := x.receipts.Sign(manifest.ReceiptType, text)
	must(x.t, err)
	x.files["drive/"+manifest.Receipts+"/"+transfer+".dsse.json"] = envelope
}
