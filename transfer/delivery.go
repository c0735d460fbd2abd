package transfer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekisho/transfer/drive"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
	"sekisho/transfer/vault"
)

// delivery is one transfer on its way from the drive into the vault.
type delivery struct {
	*Inbound
	id     string
	folder string // on the drive

	sealed    map[string][]byte // the seal's files, as they came
	text      []byte            // the statement's bytes, verified
	statement *manifest.Statement
	gaps      []uint64
	staging   *vault.Staging
	tags      []manifest.Hash // of the tag files, in order
	parts     []manifest.Hash // of the parts, in order
}

// openSeal reads the seal, bounded, and parses the statement only after it held.
func (d *delivery) openSeal() error {
	dir := path.Join(d.folder, manifest.SealDir)
	names, err := d.list(dir, maxNames)
	if err != nil {
		return unavailable(dir, err)
	}
	want := append(slices.Sorted(maps.Keys(seal.Evidence{}.Files())), manifest.Envelope)
	if err := exactly(dir, names, nil, want); err != nil {
		return err
	}
	d.sealed = make(map[string][]byte)
	for _, name := range want {
		limit := int64(seal.MaxEvidence)
		if name == manifest.Envelope {
			limit = seal.MaxEnvelope
		}
		data, err := d.Drive.ReadFile(path.Join(dir, name), limit)
		if errors.Is(err, drive.ErrTooLarge) {
			return refuse(BadSeal, path.Join(d.id, manifest.SealDir, name), err)
		}
		if err != nil {
			return unavailable(name, err)
		}
		d.sealed[name] = data
	}
	evidence := make(map[string][]byte)
	for name, data := range d.sealed {
		if name != manifest.Envelope {
			evidence[name] = data
		}
	}
	ev, err := seal.EvidenceOf(evidence)
	if err != nil {
		return refuse(BadSeal, d.id, err)
	}
	text, by, err := seal.Open(manifest.StatementType, d.sealed[manifest.Envelope], ev, d.Kiosks)
	switch {
	case errors.Is(err, seal.ErrUnknownKiosk):
		return refuse(UnknownKiosk, d.id, err)
	case err != nil:
		return refuse(BadSeal, d.id, err)
	}
	st, err := manifest.ParseStatement(text)
	if err != nil {
		return refuse(Malformed, "statement", err)
	}
	return d.checkStatement(text, st, by)
}

// checkStatement holds the statement against what the seal proved, where the
// drive says it is, and what the gate takes. Once it is known to be of this
// folder and for this gate, a refusal gets a receipt: d.statement is set.
func (d *delivery) checkStatement(text []byte, st *manifest.Statement, by *seal.Opened) error {
	keys, err := d.Keys.Digest()
	if err != nil {
		return err
	}
	if err := sealedBy(st, by); err != nil {
		return err
	}
	switch {
	case st.Transfer != d.id:
		return refusef(Malformed, d.id, "the folder of transfer %s has another name", st.Transfer)
	case st.GateKeys != keys:
		return refusef(WrongGate, d.id, "it was made for the key set %s, this gate has %s", st.GateKeys, keys)
	}
	d.text, d.statement = text, st
	id, err := d.Drive.ID(manifest.DriveFile)
	if errors.Is(err, drive.ErrNotPrepared) || err == nil && id != st.Drive {
		return refusef(WrongDrive, d.id, "it was sealed for drive %s, this one is %q", st.Drive, id)
	}
	if err != nil {
		return err
	}
	if age := time.Since(st.Time); d.MaxAge > 0 && age > d.MaxAge {
		return refusef(TooOld, d.id, "it was sealed %d days ago", int(age.Hours()/24))
	}
	for _, e := range st.Engines {
		if age := st.Time.Sub(e.Newest); d.DefinitionsAge > 0 && !e.Demonstration && age > d.DefinitionsAge {
			return refusef(StaleDefinitions, d.id, "the definitions of %s were %d days old", e.Name, int(age.Hours()/24))
		}
	}
	return nil
}

// sealedBy says whether the statement claims what its seal proved.
func sealedBy(st *manifest.Statement, by *seal.Opened) error {
	if st.Kiosk != by.Kiosk.Name || st.Counter != by.Counter || st.SoftTPM != by.Software {
		return refusef(BadSeal, st.Transfer, "the statement is of kiosk %q at counter %d, the seal of %q at %d", st.Kiosk, st.Counter, by.Kiosk.Name, by.Counter)
	}
	return nil
}

// checkHistory compares the statement with what the vault holds of its kiosk.
// The vault is the only memory: there is no second record to disagree with it.
// It returns the generation when the vault has this payload already.
func (d *delivery) checkHistory() (*vault.Generation, error) {
	all, err := d.Vault.Generations()
	if err != nil {
		return nil, err
	}
	st := d.statement
	taken := make(map[uint64]bool) // counter values with a transfer, or without one for good
	var last uint64
	for _, k := range d.Kiosks {
		if k.Name == st.Kiosk {
			last = k.Counter
		}
	}
	first := last
	var known, unused *vault.Generation
	for i := range all {
		g := &all[i]
		if g.Kiosk != st.Kiosk {
			continue
		}
		switch {
		case g.Payload == st.Payload:
			known = g
		case g.Counter == st.Counter: // an alarm, whatever else is true
			return nil, refusef(Equivocation, d.id, "the vault has generation %s with another content at counter %d", g.ID, g.Counter)
		case slices.Contains(g.Gaps, st.Counter):
			unused = g
		}
		taken[g.Counter] = true
		for _, c := range g.Gaps {
			taken[c] = true
		}
		last = max(last, g.Counter)
	}
	switch {
	case known != nil:
		return known, nil
	case unused != nil:
		return nil, refusef(Replayed, d.id, "generation %s explains counter %d as unused", unused.ID, st.Counter)
	case st.Counter <= first:
		return nil, refusef(Replayed, d.id, "its counter %d is before the enrolment's %d", st.Counter, first)
	}
	for _, c := range st.Gaps {
		taken[c] = true
	}
	for c := last + 1; c < st.Counter && len(d.gaps) < manifest.MaxGaps; c++ {
		if !taken[c] {
			d.gaps = append(d.gaps, c)
		}
	}
	return nil, nil
}

// stage lists the transfer's folder, which must hold exactly what the statement
// names, and makes room for it.
func (d *delivery) stage() error {
	names, err := d.list(d.folder, maxNames)
	if err != nil {
		return unavailable(d.folder, err)
	}
	tags := append(slices.Clone(manifest.TagFiles), manifest.TagManifest)
	if err := exactly(d.folder, names, []string{manifest.Data, manifest.SealDir}, tags); err != nil {
		return err
	}
	parts := make([]string, len(d.statement.Sizes.Parts))
	for i := range parts {
		parts[i] = path.Base(manifest.PartName(i + 1))
	}
	data := path.Join(d.folder, manifest.Data)
	if names, err = d.list(data, len(parts)+maxNames); err != nil {
		return unavailable(data, err)
	}
	if err := exactly(data, names, nil, parts); err != nil {
		return err
	}
	free, err := d.Vault.Free()
	if err != nil {
		return err
	}
	if need := d.statement.Sizes.Total(); need > free {
		return refusef(NoSpace, d.Vault.Dir(), "the transfer has %d bytes, %d are free", need, free)
	}
	d.staging, err = d.Vault.Stage()
	return err
}

// readTags copies and checks the files that the seal vouches for by hash: the tag
// manifest, the files it names, and so the list of the parts.
func (d *delivery) readTags() error {
	sizes := &d.statement.Sizes
	list, err := d.read(manifest.TagManifest, sizes.TagManifest, d.statement.Payload)
	if err != nil {
		return err
	}
	if d.tags, err = manifest.ParseSums(list, manifest.TagFiles); err != nil {
		return refuse(Malformed, manifest.TagManifest, err)
	}
	for i, t := range sizes.Tags {
		if strings.HasSuffix(t.Name, ".age") {
			if err := d.copy(t.Name, t.Bytes, d.tags[i]); err != nil {
				return err
			}
			continue
		}
		data, err := d.read(t.Name, t.Bytes, d.tags[i])
		if err != nil {
			return err
		}
		if err := d.checkTag(t.Name, data); err != nil {
			return refuse(Malformed, t.Name, err)
		}
	}
	return nil
}

// checkTag holds a plain tag file against the statement; each has one valid form.
func (d *delivery) checkTag(name string, data []byte) (err error) {
	st := d.statement
	switch name {
	case manifest.Manifest:
		d.parts, err = manifest.ParseSums(data, manifest.PartNames(len(st.Sizes.Parts)))
		return err
	case manifest.BagIt:
		if string(data) != manifest.BagItText {
			return errors.New("not BagIt 1.0")
		}
	case manifest.BagInfo:
		var bytes int64
		for _, n := range st.Sizes.Parts {
			bytes += n
		}
		if want := manifest.Info(st.Transfer, st.Prepared, len(st.Sizes.Parts), bytes); string(data) != string(want) {
			return errors.New("it does not follow from the statement")
		}
	case manifest.Script:
		// Another version's script is as good: the seal vouches for it.
	}
	return nil
}

// read copies a small object into staging and returns its bytes.
func (d *delivery) read(name string, size int64, sum manifest.Hash) ([]byte, error) {
	if size > manifest.MaxTagFile {
		return nil, refusef(Malformed, name, "%d bytes", size)
	}
	data, err := d.Drive.ReadFile(path.Join(d.folder, name), size)
	if errors.Is(err, drive.ErrTooLarge) {
		return nil, refuse(Altered, name, err)
	}
	if err != nil {
		return nil, unavailable(name, err)
	}
	if int64(len(data)) != size || sha256.Sum256(data) != sum {
		return nil, refusef(Altered, name, "it is not what was sealed")
	}
	f, err := d.staging.Create(name)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(data)
	return data, errors.Join(err, f.Close())
}

// copy reads an object from the drive once, at most its stated size and one
// byte, into staging while hashing. The drive is not asked for it again.
func (d *delivery) copy(name string, size int64, sum manifest.Hash) error {
	src, err := d.Drive.OpenFile(path.Join(d.folder, name))
	if err != nil {
		return unavailable(name, err)
	}
	defer src.Close()
	f, err := d.staging.Create(name)
	if err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(f, hash), io.LimitReader(src, size+1), make([]byte, 1<<20))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("receiving %s: %w", name, err)
	}
	if n != size || manifest.Hash(hash.Sum(nil)) != sum {
		return refusef(Altered, name, "it is not what was sealed")
	}
	return nil
}

// unavailable gives the reason for an object that was listed a moment ago, or
// ought to be there, and could not be had.
func unavailable(name string, err error) error {
	switch {
	case errors.Is(err, drive.ErrGone): // and so everything on it
		return err
	case errors.Is(err, fs.ErrNotExist):
		return refuse(MissingPart, name, err)
	case errors.Is(err, drive.ErrKind):
		return refuse(Altered, name, err)
	}
	return err
}

// exactly compares a listing with the names that must be there.
func exactly(where string, got []drive.Name, folders, files []string) error {
	missing := make(map[string]bool, len(folders)+len(files))
	for _, f := range folders {
		missing[f] = true
	}
	for _, f := range files {
		missing[f] = false
	}
	for _, n := range got {
		folder, wanted := missing[n.Name]
		if !wanted {
			return refusef(ExtraFile, path.Join(where, n.Name), "no seal names it")
		}
		if folder && !n.Folder || !folder && !n.File {
			return refusef(Altered, path.Join(where, n.Name), "it is something else than what was sealed")
		}
		delete(missing, n.Name)
	}
	for name := range missing {
		return refusef(MissingPart, path.Join(where, name), "the seal names it and it is not there")
	}
	return nil
}

func gapsText(gaps []uint64) string {
	var b strings.Builder
	for i, g := range gaps {
		if i == 8 {
			fmt.Fprintf(&b, " and %d more", len(gaps)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatUint(g, 10))
	}
	return b.String()
}
