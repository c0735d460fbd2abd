package transfer

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"sekisho/transfer/ledger"
	"sekisho/transfer/vault"
)

// RecoveryRecord is what the gate takes a result in with.
type RecoveryRecord struct {
	Gate     string
	Vault    *vault.Vault
	Identity Identity // of the gate, with the keys it had before
	Ledger   *ledger.Log
	Staff    string
	Checks   *RecoveryChecks // gets the generations that were proven
}

// RecordRecovery computes each proof of a result anew from the vault. Then it
// notes the result in the ledger and marks the generations whose every object was
// opened as checked; saving the marks is the caller's. Nothing is marked when a
// proof does not hold. The error is ctx's, of reading, or a *Refusal:
// RecoveryFailed also when the result is genuine and says that a header did not
// open.
func RecordRecovery(ctx context.Context, r RecoveryRecord, result io.Reader) (RecoveryCount, error) {
	var proven []string
	head, end, err := readResult(result, func(g *resultOf) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		whole, err := r.check(g)
		if whole {
			proven = append(proven, g.Generation)
		}
		return err
	})
	if err == nil && head.Gate != r.Gate {
		err = refusef(RecoveryFailed, "", "the result is of gate %s", head.Gate)
	}
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		return RecoveryCount{}, err
	}
	n := RecoveryCount{end.Generations, end.Opened, end.Failed, end.Skipped, end.Proof}
	record := ledger.Record{Event: ledger.Check, By: r.Staff, Result: "opened", Facts: map[string]string{"what": "recovery key"}}
	if refusal == nil {
		record.Facts["generations"], record.Facts["headers"] = strconv.Itoa(n.Generations), strconv.Itoa(n.Headers)
		record.Facts["failed"], record.Facts["proof"] = strconv.Itoa(n.Failed), n.Proof.String()
		switch {
		case n.Failed > 0:
			refusal = refusef(RecoveryFailed, "", "%d headers did not open", n.Failed)
		case n.Generations == 0:
			refusal = refusef(RecoveryFailed, "", "the key was tried on nothing")
		}
	}
	if refusal != nil {
		record.Result, record.Reason = "failed", string(refusal.Reason)
	}
	if _, err := r.Ledger.Append(record); err != nil {
		return RecoveryCount{}, refuse(Failed, "ledger", err)
	}
	if err == nil && n.Generations > 0 {
		r.Checks.mark(proven, head.Time)
	}
	if refusal != nil {
		return n, refusal
	}
	return n, nil
}

// check says whether a generation's result shows every object of it opened. A
// generation that the vault has no more proves nothing, and harms nothing.
func (r *RecoveryRecord) check(g *resultOf) (whole bool, err error) {
	if _, err := r.Vault.Generation(g.Generation); errors.Is(err, vault.ErrNone) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	bag := r.Vault.Bag(g.Generation)
	names, err := encrypted(bag)
	if err != nil {
		return false, refuse(VaultDamaged, g.Generation, err)
	}
	proof := newFold()
	opened := 0
	for _, name := range names {
		if slices.Contains(g.Failed, name) {
			continue
		}
		data, err := header(bag, name)
		if err != nil {
			return false, refuse(VaultDamaged, g.Generation, err)
		}
		one, err := r.Identity.prove(data)
		if err != nil {
			return false, refuse(Undecryptable, filepath.Join(g.Generation, name), err)
		}
		proof.add(one)
		opened++
	}
	if opened != g.Opened || proof.sum() != g.Proof {
		return false, refusef(RecoveryFailed, g.Generation, "the result does not prove that %d of its objects were opened", g.Opened)
	}
	return len(g.Failed) == 0, nil
}
