package transfer

import (
	"errors"
	"maps"
	"path"
	"slices"
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
