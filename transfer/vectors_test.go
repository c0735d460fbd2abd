package transfer_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"sekisho/scan"
	"sekisho/transfer"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// ofGate are the reasons that a gate gives for a drive or a transfer; the
// others of the closed list are the kiosk's and the programs'.
var ofGate = []transfer.Reason{
	transfer.NoTransfer, transfer.BadSeal, transfer.UnknownKiosk, transfer.WrongGate, transfer.WrongDrive, transfer.Replayed,
	transfer.Equivocation, transfer.TooOld, transfer.StaleDefinitions, transfer.Malformed, transfer.MissingPart, transfer.ExtraFile,
	transfer.Altered, transfer.Undecryptable, transfer.Detected, transfer.Unscannable, transfer.NoSpace, transfer.ReadFailed,
	transfer.EngineFailed, transfer.DriveGone, transfer.AlreadyAccepted,
	transfer.SoftwareTPM, transfer.RetiredKiosk, transfer.UnapprovedState, transfer.RolledBack, transfer.BrokenChain,
}

var notOfGate = []transfer.Reason{
	transfer.VaultDamaged, // of an import only: TestDamagedGenerationIsNotConfirmed
	transfer.TooManyLeftOut, transfer.FolderUnread, transfer.SourceMissing, transfer.SourceEmpty, transfer.SourceFailed, transfer.SourceChanged,
	transfer.NothingDue, transfer.NoDrive, transfer.DriveFull, transfer.DriveProtected, transfer.DriveFaulty,
	transfer.WriteFailed, transfer.SealFailed, transfer.NotEnrolled, transfer.BagDamaged, transfer.Busy, transfer.Stopped,
	transfer.Failed, transfer.LeftOut, transfer.NoTPM, transfer.TPMBusy, transfer.TPMLocked,
	transfer.ComparisonFailed, transfer.EnrolmentRefused, transfer.ApprovalRefused, transfer.RecoveryFailed,
}

// scene is what a vector is set up on: a kiosk that its gate trusts, a forgery
// that is good until the vector changes it, and an empty drive.
type scene struct {
	*testing.T
	k       *kiosk
	g       *gate
	f       *forgery
	dir     string
	gate    func(*transfer.Inbound)
	after   func() // an import
	written bool
}

// put writes the forgery onto the drive; a vector calls it to change the drive
// afterwards.
func (s *scene) put() {
	s.Helper()
	s.f.put(s, s.dir)
	s.written = true
}

// at is a path in the transfer's folder on the drive.
func (s *scene) at(name string) string {
	return filepath.Join(s.dir, manifest.Transfers, s.f.st.Transfer, name)
}

type vector struct {
	name string
	want transfer.Reason // "": accepted
	says string          // in the refusal's text: it was refused for what the vector changed
	set  func(s *scene)
}

var vectors = slices.Concat(sealVectors, statementVectors, trustVectors, stateVectors, tpmVectors, bagVectors, indexVectors, streamVectors, cipherVectors, contentVectors, drives)

var sealVectors = []vector{
	{"good", "", "", func(*scene) {}},
	{"kiosk is not enrolled", transfer.UnknownKiosk, "no enrolled kiosk", func(s *scene) { s.gate = func(in *transfer.Inbound) { in.Kiosks = nil } }},
	{"statement changed after the seal", transfer.BadSeal, "", func(s *scene) {
		s.f.sealer = func(text []byte) (*seal.Sealed, error) {
			sealed, err := s.next(text)
			must(s, err)
			other, err := s.k.sealer.Seal(manifest.StatementType, bytes.Replace(text, []byte("forgery"), []byte("another"), 1))
			must(s, err)
			sealed.Envelope = other.Envelope
			return sealed, nil
		}
	}},
	{"evidence of another transfer", transfer.BadSeal, "made for something else", func(s *scene) {
		s.f.sealer = func(text []byte) (*seal.Sealed, error) {
			sealed, err := s.next(text)
			must(s, err)
			other, err := s.k.sealer.Seal(manifest.StatementType, []byte("{}"))
			must(s, err)
			sealed.Evidence = other.Evidence
			return sealed, nil
		}
	}},
	{"payload of another type", transfer.BadSeal, "", func(s *scene) {
		s.f.sealer = func(text []byte) (*seal.Sealed, error) { return s.k.sealer.Seal("application/x", text) }
	}},
	{"evidence missing", transfer.MissingPart, "quote.pcrs", func(s *scene) { s.put(); must(s, os.Remove(s.at("seal/quote.pcrs"))) }},
	{"evidence too large", transfer.BadSeal, "larger", func(s *scene) { s.put(); writeFile(s, s.at("seal/quote.pcrs"), text("x", seal.MaxEvidence+1)) }},
	{"evidence empty", transfer.BadSeal, "0 bytes", func(s *scene) { s.put(); must(s, os.Truncate(s.at("seal/quote.pcrs"), 0)) }},
	{"file beside the evidence", transfer.ExtraFile, "note", func(s *scene) { s.put(); writeFile(s, s.at("seal/note"), "") }},
	{"envelope too large", transfer.BadSeal, "larger", func(s *scene) { s.put(); must(s, os.Truncate(s.at("seal/statement.dsse.json"), 1<<30)) }},
	{"statement of another kiosk", transfer.BadSeal, `the statement is of kiosk "k9"`, func(s *scene) {
		s.f.st.Kiosk, s.f.st.Transfer = "k9", manifest.ID(someTime, "k9", s.f.st.Number)
	}},
	{"statement of another counter value", transfer.BadSeal, "the seal of", func(s *scene) { s.f.statement = func() { s.f.st.Counter++ } }},
	{"software TPM kept quiet", transfer.BadSeal, "the seal of", func(s *scene) { s.f.st.SoftTPM = false }},
}

// next seals as a kiosk does: at the next counter value.
func (s *scene) next(text []byte) (*seal.Sealed, error) {
	_, err := s.k.sealer.Increment()
	must(s, err)
	return s.k.sealer.Seal(manifest.StatementType, text)
}

// now seals at the counter's present value, which some other seal has used.
func (s *scene) now(text []byte) (*seal.Sealed, error) {
	return s.k.sealer.Seal(manifest.StatementType, text)
}

var statementVectors = []vector{
	{"statement with white space", transfer.Malformed, "canonical", func(s *scene) {
		s.f.text = func(t string) string { return strings.Replace(t, `,"`, `, "`, 1) }
	}},
	{"statement with an unknown key", transfer.Malformed, "statement: malformed", func(s *scene) {
		s.f.text = func(t string) string { return strings.Replace(t, `"kiosk":`, `"extra":1,"kiosk":`, 1) }
	}},
	{"statement with a key twice", transfer.Malformed, "canonical", func(s *scene) {
		s.f.text = func(t string) string { return strings.Replace(t, `"folders":`, `"folders":7,"folders":`, 1) }
	}},
	{"statement of another subject", transfer.Malformed, "not a statement", func(s *scene) {
		s.f.text = func(t string) string {
			return strings.Replace(t, s.f.st.Payload.String(), strings.Repeat("0", 64), 1)
		}
	}},
	{"statement without its last line feed", transfer.Malformed, "statement", func(s *scene) { s.f.text = func(t string) string { return strings.TrimSuffix(t, "\n") } }},
	{"made for another gate", transfer.WrongGate, "key set", func(s *scene) { s.f.statement = func() { s.f.st.GateKeys[0] ^= 1 } }},
	{"folder renamed", transfer.Malformed, "has another name", func(s *scene) {
		s.put()
		must(s, os.Rename(s.at(""), filepath.Join(s.dir, manifest.Transfers, manifest.ID(someTime, s.k.name, 999))))
	}},
	{"sealed for another drive", transfer.WrongDrive, "sealed for drive", func(s *scene) { s.f.statement = func() { s.f.st.Drive = strings.Repeat("0", 32) } }},
	{"drive without an id", transfer.WrongDrive, "sealed for drive", func(s *scene) { s.put(); must(s, os.Remove(filepath.Join(s.dir, manifest.DriveFile))) }},
	{"drive with an id of 1 MB", transfer.WrongDrive, "sealed for drive", func(s *scene) { s.put(); must(s, os.Truncate(filepath.Join(s.dir, manifest.DriveFile), 1<<20)) }},
	{"sealed long ago", transfer.TooOld, "10 days", func(s *scene) {
		s.f.statement = func() { s.f.st.Time = s.f.st.Time.Add(-10 * 24 * time.Hour) }
		s.gate = func(in *transfer.Inbound) { in.MaxAge = 7 * 24 * time.Hour }
	}},
	{"old definitions", transfer.StaleDefinitions, "ClamAV", func(s *scene) {
		s.f.st.Engines[0].Newest = time.Now().UTC().Add(-30 * 24 * time.Hour)
		s.gate = func(in *transfer.Inbound) { in.DefinitionsAge = 7 * 24 * time.Hour }
	}},
	{"old demonstration signatures", "", "", func(s *scene) {
		s.f.st.Engines[0].Newest, s.f.st.Engines[0].Demonstration = time.Now().UTC().Add(-30*24*time.Hour), true
		s.gate = func(in *transfer.Inbound) { in.DefinitionsAge = 7 * 24 * time.Hour }
	}},
	{"sealed before the enrolment", transfer.Replayed, "before the enrolment", func(s *scene) {
		s.put()
		_, err := s.k.sealer.Increment()
		must(s, err)
		s.g.kiosks = nil
		s.g.enrol(s, s.k)
	}},
	{"counter explained as a gap, then used", transfer.Replayed, "explains counter", func(s *scene) {
		s.put()
		later := newForgery(s, s.k, 2)
		later.statement = func() { later.st.Gaps = []uint64{s.f.st.Counter} }
		s.accepted(later)
	}},
	{"counter used, then explained as a gap", "", "", func(s *scene) { // as by a kiosk that lost its power in between
		before := newForgery(s, s.k, 2)
		s.accepted(before)
		s.f.statement = func() { s.f.st.Gaps, s.f.st.Previous = []uint64{before.st.Counter}, before.st.Previous }
	}},
	{"late drive fills an open gap", "", "", func(s *scene) { s.put(); s.accepted(newForgery(s, s.k, 2)) }},
	{"two payloads at one counter value", transfer.Equivocation, "another statement at counter", func(s *scene) {
		s.accepted(newForgery(s, s.k, 2))
		s.f.statement = func() { s.f.st.Counter-- }
		s.f.sealer = s.now
	}},
	{"an accepted payload at a counter value of another", transfer.Equivocation, "another statement at counter", func(s *scene) {
		s.accepted(s.f)
		s.accepted(newForgery(s, s.k, 2))
		// The first bag again, on another drive, at the second one's value.
		counter := s.f.st.Counter + 1
		must(s, os.CopyFS(s.dir, os.DirFS(s.f.dir)))
		s.f.statement, s.f.sealer = func() { s.f.st.Counter = counter }, s.now
		s.f.seal(s, s.dir, s.at(""))
		s.written = true
	}},
	{"another transfer under the id of an accepted one", transfer.Equivocation, "exist", func(s *scene) { s.accepted(newForgery(s, s.k, 1)) }},
	{"the same drive again", transfer.AlreadyAccepted, "", func(s *scene) {
		s.put()
		_, err := s.g.importDrive(s, s.dir)
		must(s, err)
	}},
	{"the same bag on another drive", transfer.AlreadyAccepted, "", func(s *scene) { s.again() }},
}

// again seals the bag for the scene's drive, after another brought it.
func (s *scene) again() {
	s.Helper()
	s.accepted(s.f)
	must(s, os.CopyFS(s.dir, os.DirFS(s.f.dir)))
	must(s, os.Remove(filepath.Join(s.dir, manifest.DriveFile)))
	must(s, os.RemoveAll(filepath.Join(s.dir, manifest.Receipts)))
	s.f.seal(s, s.dir, s.at(""))
	s.written = true
}

// accepted has the gate accept a bag on a drive of its own.
func (s *scene) accepted(f *forgery) {
	s.Helper()
	f.dir = s.TempDir()
	f.put(s, f.dir)
	s.g.accept(s, f.dir)
}

var bagVectors = []vector{
	{"tag manifest in another order", transfer.Malformed, "tagmanifest", func(s *scene) {
		s.f.list = func(b []byte) []byte {
			lines := strings.SplitAfter(string(b), "\n")
			slices.Reverse(lines)
			return []byte(strings.Join(lines, ""))
		}
	}},
	{"tag manifest with a line more", transfer.Malformed, "goes on", func(s *scene) {
		s.f.list = func(b []byte) []byte { return append(b, b[:64+3]...) }
	}},
	{"tag manifest with a line less", transfer.Malformed, "tagmanifest", func(s *scene) {
		s.f.list = func(b []byte) []byte { return b[bytes.IndexByte(b, '\n')+1:] }
	}},
	{"manifest of other names", transfer.Malformed, "manifest-sha256.txt", func(s *scene) {
		s.f.tags = map[string][]byte{manifest.Manifest: manifest.MarshalSums([]manifest.Sum{{Name: "../x"}, {Name: "/etc/x"}})}
	}},
	{"manifest with other digests", transfer.Altered, "data/000001.age", func(s *scene) {
		s.f.tags = map[string][]byte{manifest.Manifest: manifest.MarshalSums([]manifest.Sum{{Name: manifest.PartName(1)}, {Name: manifest.PartName(2)}})}
	}},
	{"another BagIt", transfer.Malformed, "not BagIt 1.0", func(s *scene) {
		s.f.tags = map[string][]byte{manifest.BagIt: []byte(strings.Replace(manifest.BagItText, "1.0", "0.97", 1))}
	}},
	{"bag-info of its own mind", transfer.Malformed, "follow from the statement", func(s *scene) {
		s.f.tags = map[string][]byte{manifest.BagInfo: manifest.Info(s.f.st.Transfer, s.f.st.Prepared, 3, 7)}
	}},
	{"another version's recover.sh", "", "", func(s *scene) { s.f.tags = map[string][]byte{manifest.Script: []byte("#!/bin/sh\n")} }},
	{"part too many in the statement", transfer.MissingPart, "000003.age", func(s *scene) {
		s.f.statement = func() { s.f.st.Sizes.Parts = append(s.f.st.Sizes.Parts, 1000) }
	}},
	{"part too few in the statement", transfer.ExtraFile, "000002.age", func(s *scene) { s.f.statement = func() { s.f.st.Sizes.Parts = s.f.st.Sizes.Parts[:1] } }},
	{"part longer than stated", transfer.Altered, "000001.age", func(s *scene) { s.f.changeSize(0, -1) }},
	{"part shorter than stated", transfer.Altered, "000002.age", func(s *scene) { s.f.changeSize(1, +1) }},
	{"details shorter than stated", transfer.Altered, manifest.DetailsFile, func(s *scene) { s.f.statement = func() { s.f.st.Sizes.Tags[2].Bytes++ } }},
	{"larger than the vault's disk", transfer.NoSpace, "are free", func(s *scene) {
		s.f.statement = func() {
			s.f.st.Sizes.Parts = slices.Repeat([]int64{manifest.MaxPartSize}, manifest.MaxParts)
			for i := range s.f.st.Sizes.Parts {
				writeFile(s, s.at(manifest.PartName(i+1)), "")
			}
		}
	}},
}

// changeSize has the statement state another size of a part, and bag-info the
// sum that goes with it.
func (f *forgery) changeSize(part int, by int64) {
	size := int64(0)
	f.cipher = func(name string, data []byte) []byte {
		if strings.HasPrefix(name, manifest.Data+"/") {
			size += int64(len(data))
		}
		f.tags = map[string][]byte{manifest.BagInfo: manifest.Info(f.st.Transfer, f.st.Prepared, 2, size+by)}
		return data
	}
	f.statement = func() { f.st.Sizes.Parts[part] += by }
}

// inPlain changes index, lists or parts after they were made.
func inPlain(change func(s *scene, f *forgery)) func(*scene) {
	return func(s *scene) { s.f.plain = func() { change(s, s.f) } }
}

// inLines changes the entries; what is laid out and listed follows from them.
func inLines(change func(f *forgery)) func(*scene) {
	return func(s *scene) { s.f.entries = func() { change(s.f) } }
}

func addLine(path manifest.Path) func(*scene) {
	return inLines(func(f *forgery) {
		f.lines = append(f.lines, manifest.Entry{Path: path, Type: manifest.File, ModTime: someTime, Verdict: manifest.Clean})
		f.data = append(f.data, "x")
	})
}

var indexVectors = []vector{
	{"path with ..", transfer.Malformed, "index", addLine("c/../../x")},
	{"path is ..", transfer.Malformed, "index", addLine("..")},
	{"absolute path", transfer.Malformed, "index", addLine("/etc/passwd")},
	{"path with NUL", transfer.Malformed, "cannot be extracted", inPlain(func(s *scene, f *forgery) { edit(s, &f.index, `"path":"Yg=="`, `"path":"YgA="`) })},
	{"path listed twice", transfer.Malformed, "listed twice", addLine("b")},
	{"paths out of order", transfer.Malformed, "out of order", inLines(func(f *forgery) { f.lines[2].Path = "Z" })},
	{"file in a folder that is not listed", transfer.Malformed, "folder that is not listed", addLine("c/x")},
	{"detected and carried", transfer.Malformed, "index", inPlain(func(s *scene, f *forgery) { edit(s, &f.index, manifest.Clean, manifest.Detected) })},
	{"clean with a finding", transfer.Malformed, "index", inLines(func(f *forgery) { f.lines[1].Findings = []manifest.Finding{{Engine: "x", Name: "y"}} })},
	{"link that is carried", transfer.Malformed, "index", inPlain(func(s *scene, f *forgery) { edit(s, &f.index, `"type":"file"`, `"type":"other"`) })},
	{"unknown key", transfer.Malformed, "index line 2", inPlain(func(s *scene, f *forgery) { edit(s, &f.index, `"type":"file"`, `"type":"file","mode":511`) })},
	{"key in another case", transfer.Malformed, "canonical", inPlain(func(s *scene, f *forgery) { edit(s, &f.index, `"type":"file"`, `"Type":"file"`) })},
	{"line without an end", transfer.Malformed, "no end", inPlain(func(_ *scene, f *forgery) { f.index = bytes.TrimSuffix(f.index, []byte("\n")) })},
	{"no line at all", transfer.Malformed, "empty index", inPlain(func(_ *scene, f *forgery) { f.index = nil })},
	{"endless line", transfer.Malformed, "more than", inPlain(func(_ *scene, f *forgery) { f.index = append(f.index, make([]byte, 2*manifest.MaxLine)...) })},
	{"index of another transfer", transfer.Malformed, "of transfer", inPlain(func(s *scene, f *forgery) { edit(s, &f.index, "-000001", "-000002") })},
	{"index of another format", transfer.Malformed, "sekisho-index/2", inPlain(func(s *scene, f *forgery) { edit(s, &f.index, "sekisho-index/1", "sekisho-index/2") })},
	{"statement counts a file more", transfer.Malformed, "the statement 3", inPlain(func(_ *scene, f *forgery) { f.st.Counts[0].Files++ })},
	{"statement counts a byte less", transfer.Malformed, "the statement", inPlain(func(_ *scene, f *forgery) { f.st.Counts[0].Bytes-- })},
	{"statement counts a folder more", transfer.Malformed, "folders", inPlain(func(_ *scene, f *forgery) { f.st.Folders++ })},
	{"left-out file that no line names", transfer.Malformed, "the statement 1", inPlain(func(_ *scene, f *forgery) { f.st.Counts[1].Files, f.st.Partial = 1, true })},
	{"checksum list with a line less", transfer.Malformed, "files.sha256", inPlain(func(_ *scene, f *forgery) { f.sums = f.sums[:bytes.IndexByte(f.sums, '\n')+1] })},
	{"checksum list with a line more", transfer.Malformed, "goes on", inPlain(func(_ *scene, f *forgery) { f.sums = append(f.sums, f.sums...) })},
	{"checksum list of other digests", transfer.Malformed, "files.sha256", inPlain(func(_ *scene, f *forgery) { f.sums[0] ^= 1 })},
	{"details with white space", transfer.Malformed, manifest.DetailsFile, inPlain(func(s *scene, f *forgery) { edit(s, &f.details, `,"`, `, "`) })},
	{"details of another transfer", transfer.Malformed, manifest.DetailsFile, inPlain(func(s *scene, f *forgery) { edit(s, &f.details, "-000001", "-000002") })},
	{"no details", transfer.Malformed, manifest.DetailsFile, inPlain(func(_ *scene, f *forgery) { f.details = nil })},
}

// shift moves the bytes of the second part's file in the stream.
var streamVectors = []vector{
	{"tar header with another name", transfer.Malformed, "header is not", inPlain(func(s *scene, f *forgery) { edit(s, &f.parts[0], "a/x\x00", "a/y\x00") })},
	{"tar header with another time", transfer.Malformed, "header is not", inPlain(func(s *scene, f *forgery) { edit(s, &f.parts[0], ".123456789", ".123456788") })},
	{"tar header of a link", transfer.Malformed, "header is not", inPlain(func(_ *scene, f *forgery) { f.parts[1][len(f.parts[1])-len(manifest.Trailer)-1024-512+156] = '2' })},
	{"other content than listed", transfer.Altered, "content is not", inPlain(func(s *scene, f *forgery) { edit(s, &f.parts[0], "hello", "hallo") })},
	{"content in the padding", transfer.Malformed, "padding", inPlain(func(s *scene, f *forgery) { edit(s, &f.parts[0], "hello\x00", "hello\x01") })},
	{"a digest that is not the content's", transfer.Altered, "content is not", inLines(func(f *forgery) {
		sum := manifest.Hash{1}
		f.lines[1].SHA256, f.lines[1].Size = &sum, 5
	})},
	{"a size that is not the content's", transfer.Malformed, "", inPlain(func(s *scene, f *forgery) {
		edit(s, &f.index, `"size":700`, `"size":699`)
		f.st.Counts[0].Bytes--
	})},
	{"a size beyond the stream", transfer.Malformed, "", inPlain(func(s *scene, f *forgery) {
		edit(s, &f.index, `"size":700`, `"size":70000`)
		f.st.Counts[0].Bytes += 70000 - 700
	})},
	{"no trailer", transfer.Malformed, "trailer", inPlain(func(_ *scene, f *forgery) { f.parts[1] = f.parts[1][:len(f.parts[1])-len(manifest.Trailer)] })},
	{"half a trailer", transfer.Malformed, "trailer", inPlain(func(_ *scene, f *forgery) { f.parts[1] = f.parts[1][:len(f.parts[1])-512] })},
	{"trailer that is none", transfer.Malformed, "trailer", inPlain(func(_ *scene, f *forgery) { f.parts[1][len(f.parts[1])-1] = 1 })},
	{"bytes after the trailer", transfer.Malformed, "more in it", inPlain(func(_ *scene, f *forgery) { f.parts[1] = append(f.parts[1], 0) })},
	{"a part after the trailer", transfer.Malformed, "ends in part 2 of 3", inPlain(func(_ *scene, f *forgery) { f.parts = append(f.parts, []byte("hidden")) })},
	{"bytes at the end of a part", transfer.Malformed, "more in it", inPlain(func(_ *scene, f *forgery) { f.parts[0] = append(f.parts[0], make([]byte, 512)...) })},
	{"bytes at the beginning of a part", transfer.Malformed, "header is not", inPlain(func(_ *scene, f *forgery) { f.parts[1] = append(make([]byte, 512), f.parts[1]...) })},
	{"parts swapped before encryption", transfer.Malformed, "header is not", inPlain(func(_ *scene, f *forgery) { slices.Reverse(f.parts) })},
	{"a file that only the tar has", transfer.Malformed, "", inPlain(func(s *scene, f *forgery) {
		e := manifest.Entry{Path: "c", Type: manifest.File, ModTime: someTime}
		header, err := manifest.Header(&e)
		must(s, err)
		at := len(f.parts[1]) - len(manifest.Trailer)
		f.parts[1] = slices.Insert(f.parts[1], at, header...)
	})},
	{"a header in the middle of a part", transfer.Malformed, "no header can be at 512", inPlain(func(s *scene, f *forgery) {
		edit(s, &f.index, `"part":2}`, `"part":2,"offset":512}`)
	})},
	{"a file that only the index has", transfer.Malformed, "header is not", inLines(func(f *forgery) {
		f.lines = append(f.lines, manifest.Entry{Path: "c", Type: manifest.File, ModTime: someTime, Verdict: manifest.Clean})
		f.data = append(f.data, "only here")
		f.plain = func() {
			f.parts[1] = f.parts[1][:len(f.parts[1])-len(manifest.Trailer)-3*512]
			f.parts[1] = append(f.parts[1], manifest.Trailer...)
		}
	})},
	{"a line in a part that there is not", transfer.Malformed, "in part 3, the stream is at", inPlain(func(s *scene, f *forgery) {
		f.parts[1] = f.parts[1][:len(f.parts[1])-len(manifest.Trailer)]
		line := f.index[bytes.LastIndexByte(f.index[:len(f.index)-1], '\n')+1:]
		f.index = append(f.index, strings.NewReplacer(`"Yg=="`, `"Yw=="`, `"part":2`, `"part":3`).Replace(string(line))...)
		f.sums = append(f.sums, strings.ReplaceAll(string(f.sums[bytes.IndexByte(f.sums, '\n')+1:]), "./b", "./c")...)
		f.st.Counts[0].Files++
		f.st.Counts[0].Bytes += 700
	})},
	{"a part that no line is in", transfer.Malformed, "the stream is at", inPlain(func(s *scene, f *forgery) {
		edit(s, &f.index, `"part":2`, `"part":3`)
		f.parts = slices.Insert(f.parts, 1, nil)
	})},
}

// plainly hides from age that a recipient must not be mixed with weaker ones.
type plainly struct{ r age.Recipient }

func (p plainly) Wrap(key []byte) ([]*age.Stanza, error) { return p.r.Wrap(key) }

// encryptedTo gives one file of the bag other recipients.
func encryptedTo(name string, to func(s *scene) []age.Recipient) func(*scene) {
	return func(s *scene) { s.f.to = map[string][]age.Recipient{name: to(s)} }
}

func strangers(s *scene, n int) (to []age.Recipient) {
	for range n {
		key, err := age.GenerateHybridIdentity()
		must(s, err)
		to = append(to, key.Recipient())
	}
	return to
}

func classical(s *scene) age.Recipient {
	key, err := age.GenerateX25519Identity()
	must(s, err)
	return key.Recipient()
}

func gateAnd(n int) func(*scene) []age.Recipient {
	return func(s *scene) []age.Recipient {
		return append([]age.Recipient{hybrid(s, s.k.keys.Encryption)}, strangers(s, n)...)
	}
}

// ciphered changes the bytes of one encrypted file, which is then sealed so.
func ciphered(name string, change func([]byte) []byte) func(*scene) {
	return func(s *scene) {
		s.f.cipher = func(n string, data []byte) []byte {
			if n == name {
				return change(data)
			}
			return data
		}
	}
}

func cut(b []byte) []byte  { return b[:len(b)-1] }
func flip(b []byte) []byte { b[len(b)-1] ^= 1; return b }

var cipherVectors = []vector{
	{"part to three keys", transfer.Malformed, "two hybrid keys", encryptedTo("data/000002.age", gateAnd(2))},
	{"part to the gate alone", transfer.Malformed, "two hybrid keys", encryptedTo("data/000001.age", gateAnd(0))},
	{"part also to a classical key", transfer.Malformed, "two hybrid keys", encryptedTo("data/000001.age", func(s *scene) []age.Recipient {
		return []age.Recipient{plainly{hybrid(s, s.k.keys.Encryption)}, plainly{classical(s)}}
	})},
	{"part to classical keys", transfer.Malformed, "two hybrid keys", encryptedTo("data/000001.age", func(s *scene) []age.Recipient {
		return []age.Recipient{classical(s), classical(s)}
	})},
	{"index to three keys", transfer.Malformed, "two hybrid keys", encryptedTo(manifest.Index, gateAnd(2))},
	{"checksum list to three keys", transfer.Malformed, "two hybrid keys", encryptedTo(manifest.FileSums, gateAnd(2))},
	{"details to three keys", transfer.Malformed, "two hybrid keys", encryptedTo(manifest.DetailsFile, gateAnd(2))},
	{"part without the gate's key", transfer.Undecryptable, "", encryptedTo("data/000002.age", func(s *scene) []age.Recipient { return strangers(s, 2) })},
	{"index without the gate's key", transfer.Undecryptable, "", encryptedTo(manifest.Index, func(s *scene) []age.Recipient { return strangers(s, 2) })},
	{"part cut short", transfer.Undecryptable, "", ciphered("data/000001.age", cut)},
	{"part damaged before it was sealed", transfer.Undecryptable, "", ciphered("data/000002.age", flip)},
	{"part that is no age file", transfer.Undecryptable, "", ciphered("data/000001.age", func([]byte) []byte { return []byte("hello") })},
	{"index damaged before it was sealed", transfer.Undecryptable, "", ciphered(manifest.Index, flip)},
	{"checksum list damaged before it was sealed", transfer.Undecryptable, "", ciphered(manifest.FileSums, flip)},
	{"details damaged before they were sealed", transfer.Undecryptable, "", ciphered(manifest.DetailsFile, flip)},
	{"gate lost its key", transfer.Undecryptable, "", func(s *scene) {
		s.gate = func(in *transfer.Inbound) { in.Identity = newIdentity(s, filepath.Join(s.TempDir(), "key")) }
	}},
}

// scanned has the gate search the files with its own engines.
func scanned(change func(f *forgery)) func(*scene) {
	return func(s *scene) {
		s.f.entries = func() { change(s.f) }
		s.gate = func(in *transfer.Inbound) {
			with := s.g.scanning(s, s.dir)
			in.Scanner, in.Spool = with.Scanner, with.Spool
		}
	}
}

// encryptedZip is an archive that nobody can look into.
func encryptedZip() string {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	content := "twelve bytes of header, then nothing legible"
	entry, err := w.CreateRaw(&zip.FileHeader{Name: "secret.txt", Method: zip.Store, Flags: 1, CRC32: 0x5eca15c0,
		CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content) - 12)})
	if err == nil {
		_, err = io.WriteString(entry, content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return buf.String()
}

var contentVectors = []vector{
	{"searched and clean", "", "", scanned(func(*forgery) {})},
	{"detected though sealed as clean", transfer.Detected, "sealed as clean", scanned(func(f *forgery) { f.data[2] = eicar })},
	{"unscannable though sealed as clean", transfer.Unscannable, "sealed as clean", scanned(func(f *forgery) { f.data[1] = encryptedZip() })},
	{"detected though exempted for something else", transfer.Detected, "sealed as exempt", scanned(func(f *forgery) {
		f.data[1], f.lines[1].Verdict = eicar, manifest.Exempt
		f.lines[1].Findings = []manifest.Finding{{Engine: "clamav", Name: "Another.Name"}}
	})},
	{"content cut short, searched", transfer.Altered, "", func(s *scene) {
		scanned(func(*forgery) {})(s)
		s.f.plain = func() { edit(s, &s.f.parts[0], "hello", "hallo") }
	}},
	{"engines gone", transfer.EngineFailed, "", func(s *scene) {
		scanned(func(*forgery) {})(s)
		before := childrenNamed(s, "clamd")
		scanner(s, scan.ClamdConfig{Private: true, Daemons: 1, Unpack: 64 << 20})
		sockets := clamdSockets(s, before)
		gone := scanner(s, scan.ClamdConfig{Sockets: sockets})
		for _, pid := range childrenNamed(s, "clamd") {
			if !slices.Contains(before, pid) {
				must(s, unix.Kill(pid, unix.SIGKILL)) // only its own scanner would start it again
			}
		}
		with := s.gate
		s.gate = func(in *transfer.Inbound) { with(in); in.Scanner = gone }
	}},
	{"not searched, as configured", "", "", inLines(func(f *forgery) { f.data[2] = eicar })},
}

var drives = []vector{
	{"empty drive", transfer.NoTransfer, "no folder SEKISHO", func(s *scene) { s.written = true }},
	{"no folder transfers", transfer.NoTransfer, "no folder SEKISHO/transfers", func(s *scene) { s.written = true; must(s, os.Mkdir(filepath.Join(s.dir, manifest.Root), 0o755)) }},
	{"nothing sealed", transfer.NoTransfer, "none is sealed", func(s *scene) { s.put(); must(s, os.Remove(s.at("seal/statement.dsse.json"))) }},
	{"no seal folder", transfer.NoTransfer, "none is sealed", func(s *scene) { s.put(); must(s, os.RemoveAll(s.at("seal"))) }},
	{"file in SEKISHO", transfer.ExtraFile, "no place", func(s *scene) { s.put(); writeFile(s, filepath.Join(s.dir, manifest.Root, "autorun.inf"), "") }},
	{"file among the transfers", transfer.ExtraFile, "no transfer", func(s *scene) { s.put(); writeFile(s, filepath.Join(s.dir, manifest.Transfers, "x"), "") }},
	{"file in the transfer", transfer.ExtraFile, "no seal names it", func(s *scene) { s.put(); writeFile(s, s.at("x"), "") }},
	{"part missing", transfer.MissingPart, "000002.age", func(s *scene) { s.put(); must(s, os.Remove(s.at(manifest.PartName(2)))) }},
	{"drive that gives errors", transfer.ReadFailed, "cannot be read", func(s *scene) {
		s.put()
		s.gate = func(*transfer.Inbound) { s.withhold(s.at(manifest.PartName(1))) }
	}},
	{"drive pulled", transfer.DriveGone, "gone", func(s *scene) {
		s.put()
		s.gate = func(*transfer.Inbound) { must(s, os.RemoveAll(s.dir)) }
	}},
}

// withhold makes opening a file fail for others than this descriptor's owner: a
// lease on it has to be given up first, and the gate does not wait.
func (s *scene) withhold(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(s, err)
	signal.Ignore(unix.SIGIO) // which asks to give it up
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	must(s, err)
	s.after = func() { must(s, f.Close()) }
}

func TestVectors(t *testing.T) {
	k := newKiosk(t, "k1")
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			s := &scene{T: t, k: k, g: newGate(t, k), dir: t.TempDir()}
			s.f = newForgery(t, k, 1)
			v.set(s)
			if !s.written {
				s.put()
			}
			before := len(generations(t, s.g))
			drive := snapshot(t, s.dir)
			for _, verify := range []bool{true, false} {
				if verify && (v.says == "exist" || v.want == transfer.DriveGone) {
					continue // only the commit meets the one, and the other happens once
				}
				in := s.g.inbound(t, s.dir)
				in.VerifyOnly = verify
				if s.gate != nil {
					s.gate(&in)
				}
				outcomes, err := transfer.Import(t.Context(), in)
				call(s.after)
				s.check(v, verify, outcomes, err)
				if verify {
					same(t, "the drive after verifying", drive, snapshot(t, s.dir))
				}
				left, err := os.ReadDir(s.g.path("vault/staging"))
				if err != nil || len(left) > 0 {
					t.Errorf("left in staging: %v, %v", left, err)
				}
			}
			want := before
			if v.want == "" {
				want++
			}
			if got := len(generations(t, s.g)); got != want {
				t.Errorf("%d generations, want %d", got, want)
			}
		})
	}
}

// check holds what came of an import against the vector.
func (s *scene) check(v vector, verify bool, outcomes []transfer.Outcome, err error) {
	s.Helper()
	mode := map[bool]string{true: "verify", false: "import"}[verify]
	refusal := refusalOf(outcomes, err)
	switch {
	case v.want == "" || v.want == transfer.AlreadyAccepted:
		if refusal != nil || len(outcomes) != 1 || outcomes[0].Reason != v.want {
			s.Fatalf("%s: %+v, %v, want %q", mode, outcomes, err, v.want)
		}
	case refusal == nil || refusal.Reason != v.want || !strings.Contains(refusal.Error(), v.says):
		s.Fatalf("%s: refused as %v, want %s and %q", mode, refusal, v.want, v.says)
	}
	if len(outcomes) != 1 || verify {
		return
	}
	// A receipt is given when the seal held, and nothing is the matter with the drive.
	o := outcomes[0]
	path := filepath.Join(s.dir, manifest.Receipts, s.f.st.Transfer+".dsse.json")
	envelope, err := os.ReadFile(path)
	if o.Statement == nil || v.want.Trouble() {
		if err == nil {
			s.Errorf("a receipt for %s", v.want)
		}
		return
	}
	must(s, err)
	receipt, err := transfer.OpenReceipt(envelope, s.g.name, s.g.receipts.Public())
	must(s, err)
	accepted := v.want == "" || v.want == transfer.AlreadyAccepted
	if (receipt.Result == manifest.Accepted) != accepted || !accepted && receipt.Reason != string(v.want) || receipt.Payload != s.f.st.Payload {
		s.Errorf("receipt %+v for %q", receipt, v.want)
	}
}

func TestVectorsCoverTheGatesReasons(t *testing.T) {
	all := slices.Concat(ofGate, notOfGate)
	for _, r := range transfer.Reasons {
		if !slices.Contains(all, r) {
			t.Errorf("%s is neither the gate's nor another's reason", r)
		}
	}
	if len(all) != len(transfer.Reasons) {
		t.Errorf("%d reasons here, %d in the closed list", len(all), len(transfer.Reasons))
	}
	for _, r := range ofGate {
		if !slices.ContainsFunc(vectors, func(v vector) bool { return v.want == r }) {
			t.Errorf("no vector for %s", r)
		}
	}
}

func generations(t testing.TB, g *gate) []string {
	t.Helper()
	all, err := g.vault.Generations()
	must(t, err)
	var ids []string
	for _, g := range all {
		ids = append(ids, g.ID)
	}
	return ids
}

// snapshot is every name below dir with its type, size, mode and content.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case e.Type().IsRegular() && info.Size() < 4<<20:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[name] = fmt.Sprintf("%v %s", info.Mode(), data)
		case e.IsDir():
			all[name] = info.Mode().String()
		default:
			all[name] = fmt.Sprintf("%v %d", info.Mode(), info.Size())
		}
		return nil
	}))
	return all
}

// same compares two snapshots.
func same(t testing.TB, what string, want, got map[string]string) {
	t.Helper()
	for name, w := range want {
		if g, ok := got[name]; !ok || g != w {
			t.Errorf("%s: %q changed", what, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %q is new", what, name)
		}
	}
}
