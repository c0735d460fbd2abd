package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"sekisho/transfer/drive"
	"sekisho/transfer/enrol"
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
	by        *seal.Opened
	link      link // of the statement, in its kiosk's chain
	again     bool // that very statement was accepted before
	gaps      []uint64
	notes     []string
	staging   *vault.Staging
	tags      []manifest.Hash // of the tag files, in order
	parts     []manifest.Hash // of the parts, in order
}

// readSeal takes the seal's files from the drive, bounded.
func (d *delivery) readSeal() error {
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
	return nil
}

// openSeal opens the seal that was read, and parses the statement only after it
// held.
func (d *delivery) openSeal() error {
	text, by, err := openFiles(d.sealed, d.Kiosks)
	switch {
	case errors.Is(err, seal.ErrUnknownKiosk):
		if r := d.retired(); r != nil {
			return refusef(RetiredKiosk, d.id, "it was sealed by the key of kiosk %q, which was retired on %s", r.Name, r.Since.Format(time.RFC3339))
		}
		return refuse(UnknownKiosk, d.id, err)
	case err != nil:
		return refuse(BadSeal, d.id, err)
	}
	st, err := manifest.ParseStatement(text)
	if err != nil {
		return refuse(Malformed, "statement", err)
	}
	d.by = by
	return d.checkStatement(text, st)
}

// openFiles opens a seal from its files.
func openFiles(files map[string][]byte, trusted []*seal.Kiosk) (text []byte, by *seal.Opened, err error) {
	evidence := maps.Clone(files)
	delete(evidence, manifest.Envelope)
	ev, err := seal.EvidenceOf(evidence)
	if err != nil {
		return nil, nil, err
	}
	return seal.Open(manifest.StatementType, files[manifest.Envelope], ev, trusted)
}

// retired returns the retired kiosk whose seal it is, nil when it is of none.
func (d *delivery) retired() *Retired {
	for i, r := range d.Retired {
		if _, _, err := openFiles(d.sealed, []*seal.Kiosk{r.Kiosk}); err == nil {
			return &d.Retired[i]
		}
	}
	return nil
}

// checkStatement holds the statement against what the seal proved, where the
// drive says it is, and what the gate takes. Once it is known to be of this
// folder and for this gate, a refusal gets a receipt: d.statement is set.
func (d *delivery) checkStatement(text []byte, st *manifest.Statement) error {
	keys, err := d.Keys.Digest()
	if err != nil {
		return err
	}
	if err := sealedBy(st, d.by); err != nil {
		return err
	}
	switch {
	case st.Transfer != d.id:
		return refusef(Malformed, d.id, "the folder of transfer %s has another name", st.Transfer)
	case st.GateKeys == keys:
	case slices.Contains(d.EarlierKeys, st.GateKeys):
		d.note("it was made for an earlier key set of this gate, %s: give the kiosk the new one (kiosk enrol trust -replace)", enrol.KeysFingerprint(st.GateKeys))
	default:
		return refusef(WrongGate, d.id, "it was made for the key set %s, this gate has %s; kiosk state and gate keys show name them", enrol.KeysFingerprint(st.GateKeys), enrol.KeysFingerprint(keys))
	}
	d.text, d.statement = text, st
	if root := d.by.Kiosk.Root; d.by.Software && !d.SoftwareRoots[root] {
		return refusef(SoftwareTPM, d.id, "the TPM of kiosk %q is a program, and its root %q is not among those that this gate takes", st.Kiosk, root)
	}
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

// judge asks whether IT approved the state in which the kiosk sealed. What was
// accepted once is not judged again: the vault has it.
func (d *delivery) judge() error {
	if d.Judge == nil || d.again {
		return nil
	}
	return d.Judge(d.by)
}

// hash identifies the statement.
func (d *delivery) hash() manifest.Hash { return sha256.Sum256(d.text) }

// note adds what a person should know of the transfer, whatever becomes of it.
func (d *delivery) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// stateOf identifies the registers' values of a seal.
func stateOf(by *seal.Opened) string {
	h := sha256.New()
	for _, pcr := range slices.Sorted(maps.Keys(by.PCRs)) {
		value := by.PCRs[pcr]
		h.Write(value[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// sealedBy says whether the statement claims what its seal proved.
func sealedBy(st *manifest.Statement, by *seal.Opened) error {
	if st.Kiosk != by.Kiosk.Name || st.Counter != by.Counter || st.SoftTPM != by.Software {
		return refusef(BadSeal, st.Transfer, "the statement is of kiosk %q at counter %d, the seal of %q at %d", st.Kiosk, st.Counter, by.Kiosk.Name, by.Counter)
	}
	return nil
}
