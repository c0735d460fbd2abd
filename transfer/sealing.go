package transfer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"time"

	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/outbox"
	"sekisho/transfer/seal"
)

// seal signs the statement for this drive and writes the seal, its envelope last:
//
//	statement persisted → counter → evidence → drive → ledger → outbox
//
// A crash after the counter moved finishes the same statement when it is for
// this bag and drive; otherwise the value is a gap that the next one explains.
func (w *Writing) seal(bag *outbox.Bag, driveID, folder string) error {
	chain, err := w.chain()
	if err != nil {
		return refuse(Failed, "outbox", err)
	}
	counter, err := w.Signer.Counter()
	if err != nil {
		return sealRefusal(err)
	}
	if chain.Counter == 0 {
		chain.Counter = counter // nothing sealed yet: what the enrolment left
	}
	if counter < chain.Counter {
		return refusef(RolledBack, "TPM", "its counter is at %d, before the last seal's %d: this is another TPM, or an older state of it", counter, chain.Counter)
	}
	p := chain.Pending
	if p == nil || p.Counter != counter || p.Transfer != bag.ID() || p.Drive != driveID {
		if p, err = w.begin(bag, driveID, chain, counter); err != nil {
			return err
		}
	}
	sealed, err := w.Signer.Seal(manifest.StatementType, p.Statement)
	if err != nil {
		return sealRefusal(err)
	}
	for name, data := range sealed.Evidence.Files() {
		if err := w.Drive.Put(path.Join(folder, manifest.SealDir, name), data); err != nil {
			return err
		}
	}
	if err := w.Drive.Put(path.Join(folder, manifest.SealDir, manifest.Envelope), sealed.Envelope); err != nil {
		return err
	}
	if err := w.Drive.Present(); err != nil {
		return err
	}
	// The record comes first: a seal without one would look like a deletion.
	if _, err := w.Ledger.Append(ledger.Record{Event: ledger.Write, By: w.Staff, Transfer: bag.ID(), Result: "sealed",
		Facts: map[string]string{"counter": strconv.FormatUint(p.Counter, 10), "drive": driveID}}); err != nil {
		return refuse(Failed, "ledger", err)
	}
	if err := bag.AddWrite(outbox.Written{Counter: p.Counter, Drive: driveID, Staff: w.Staff, Time: time.Now().UTC().Truncate(time.Second)}); err != nil {
		return refuse(Failed, "outbox", err)
	}
	return w.Outbox.SetChain(after(p))
}

// chain is what the next seal continues. A crash may have come between the last
// one's record in the outbox and the chain: then its counter value is no gap.
func (w *Writing) chain() (*outbox.Chain, error) {
	chain, err := w.Outbox.Chain()
	if err != nil {
		return nil, err
	}
	if chain.Counter == 0 {
		bags, err := w.Outbox.Bags()
		if err != nil {
			return nil, err
		}
		for _, b := range bags {
			if len(b.Written) > 0 {
				return nil, fmt.Errorf("the chain of seals is lost, but %s was sealed; put chain.json back", b.ID())
			}
		}
	}
	if chain.Pending == nil {
		return chain, nil
	}
	bag, err := w.Outbox.Bag(chain.Pending.Transfer)
	if errors.Is(err, fs.ErrNotExist) {
		return chain, nil
	}
	if err != nil {
		return nil, err
	}
	for _, done := range bag.Written {
		if done.Counter == chain.Pending.Counter {
			return after(chain.Pending), nil
		}
	}
	return chain, nil
}

// after is the chain once p is sealed.
func after(p *outbox.Pending) *outbox.Chain {
	previous := manifest.Hash(sha256.Sum256(p.Statement))
	return &outbox.Chain{Counter: p.Counter, Previous: &previous}
}

// begin completes the statement, puts it on disk and moves the counter.
func (w *Writing) begin(bag *outbox.Bag, driveID string, chain *outbox.Chain, counter uint64) (*outbox.Pending, error) {
	st := bag.Statement
	st.Counter, st.Previous, st.Drive, st.Staff = counter+1, chain.Previous, driveID, w.Staff
	st.Software, st.SoftTPM = w.Software, w.Signer.Software()
	st.Time, st.TimeFrom = time.Now().UTC().Truncate(time.Second), "system clock"
	st.Ledger = string(w.Ledger.Checkpoint())
	for c := chain.Counter + 1; c <= counter && len(st.Gaps) < manifest.MaxGaps; c++ {
		st.Gaps = append(st.Gaps, c)
	}
	text, err := st.Marshal()
	if err != nil {
		return nil, refuse(Failed, "statement", err)
	}
	p := &outbox.Pending{Transfer: bag.ID(), Drive: driveID, Counter: st.Counter, Statement: text}
	if err := w.Outbox.SetChain(&outbox.Chain{Counter: chain.Counter, Previous: chain.Previous, Pending: p}); err != nil {
		return nil, refuse(Failed, "outbox", err)
	}
	moved, err := w.Signer.Increment()
	if err != nil {
		return nil, sealRefusal(err)
	}
	if moved != st.Counter {
		return nil, refusef(SealFailed, "TPM", "its counter went to %d instead of %d: something else uses it", moved, st.Counter)
	}
	return p, nil
}

// sealRefusal gives a signer's error its reason.
func sealRefusal(err error) *Refusal {
	if errors.Is(err, seal.ErrUnapproved) {
		return refuse(UnapprovedState, "TPM", err)
	}
	return refuse(SealFailed, "TPM", err)
}
