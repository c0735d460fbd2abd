package transfer

import (
	"context"
	"crypto/sha256"
	"io"
	"time"

	"sekisho/transfer/manifest"
)

// TryRecovery opens every header with the recovery key and writes the result,
// also of failures; failed is told each header that it does not open. It needs
// neither a gate nor a network. The error is ctx's, of reading and writing, or a
// *Refusal: RecoveryFailed when a header does not open, or when none was for this
// key although there were some.
func TryRecovery(ctx context.Context, recovery Identity, headers io.Reader, w io.Writer, failed func(generation, file string)) (RecoveryCount, error) {
	t := &trial{ctx: ctx, key: recovery, recipient: RecipientDigest(recovery.Recipient()), out: newLineWriter(w), total: newFold(), failed: failed}
	err := readHeaders(headers, t.begin, t.each)
	if err == nil {
		err = t.end()
	}
	if err != nil {
		return RecoveryCount{}, err
	}
	switch {
	case t.n.Failed > 0:
		return t.n, refusef(RecoveryFailed, "", "%d of %d headers do not open", t.n.Failed, t.n.Failed+t.n.Headers)
	case t.n.Generations == 0 && t.n.Skipped > 0:
		return t.n, refusef(RecoveryFailed, "", "this is not the recovery key that %d generations were made for", t.n.Skipped)
	}
	return t.n, nil
}

type trial struct {
	ctx       context.Context
	key       Identity
	recipient manifest.Hash
	out       *lineWriter
	total     fold
	failed    func(generation, file string)
	n         RecoveryCount

	skip  bool // the generation that is being read is for another key
	left  int  // headers of it still to come
	gives resultOf
	fold  fold // of its proofs
}

func (t *trial) begin(head checkHead) {
	t.out.line(checkHead{resultFormat, head.Gate, time.Now().UTC().Truncate(time.Second)})
}

func (t *trial) end() error {
	t.n.Proof = t.total.sum()
	t.out.line(resultEnd{"result", t.n.Generations, t.n.Headers, t.n.Failed, t.n.Skipped, t.n.Proof})
	return t.out.flush()
}

func (t *trial) each(g *headersOf, h *headerLine) error {
	if t.ctx.Err() != nil {
		return t.ctx.Err()
	}
	if h == nil {
		t.skip, t.left, t.fold = g.Recovery != t.recipient, g.Files, newFold()
		t.gives = resultOf{Generation: g.Generation, Recovery: g.Recovery, Failed: []string{}}
		if t.skip {
			t.n.Skipped++
		}
		return nil
	}
	if t.skip {
		return nil
	}
	proof, err := t.key.prove([]byte(h.Header))
	if err != nil || h.SHA256 != sha256.Sum256([]byte(h.Header)) {
		t.gives.Failed = append(t.gives.Failed, h.File)
		t.n.Failed++
		t.failed(g.Generation, h.File)
	} else {
		t.gives.Opened++
		t.n.Headers++
		t.fold.add(proof)
	}
	if t.left--; t.left == 0 {
		t.gives.Proof = t.fold.sum()
		t.total.add(t.gives.Proof)
		t.n.Generations++
		t.out.line(t.gives)
	}
	return t.out.err
}
