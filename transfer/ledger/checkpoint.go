package ledger

import (
	"crypto"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// MaxCheckpoint bounds a signed checkpoint with cosignatures, in bytes.
const MaxCheckpoint = 16 << 10

// Checkpoint is what a ledger signs: these are its first Size records.
type Checkpoint struct {
	Origin string    // the ledger's name, unique among all that trust its key
	Size   int64     // records
	Root   tlog.Hash // RFC 6962 tree hash over the lines, newline included
}

var errCheckpoint = errors.New("not a checkpoint")

// text is the signed note's text, C2SP tlog-checkpoint without extension lines.
func (c Checkpoint) text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + c.Root.String() + "\n"
}

func parseText(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[3] != "" || !isOrigin(lines[0]) {
		return Checkpoint{}, errCheckpoint
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, errCheckpoint
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, errCheckpoint
	}
	c := Checkpoint{lines[0], size, root}
	if c.text() != text {
		return Checkpoint{}, errCheckpoint
	}
	return c, nil
}

// sign makes the block that stands in the file of checkpoints: by the ledger's
// key, or by two when the first hands over to the second.
func (c Checkpoint) sign(by ...*signer) ([]byte, error) {
	signers := make([]note.Signer, len(by))
	for i, s := range by {
		signers[i] = s
	}
	return note.Sign(&note.Note{Text: c.text()}, signers...)
}

// ParseCheckpoint verifies a signed checkpoint of the ledger origin with its
// key. Signatures by other keys are ignored; what is returned is what the
// ledger's key signed. ECDSA signatures can be rewritten without the key, so
// two notes are the same checkpoint when their Checkpoint is.
func ParseCheckpoint(signed []byte, origin string, pub crypto.PublicKey) (Checkpoint, error) {
	r, err := newRing(origin, pub)
	if err != nil {
		return Checkpoint{}, err
	}
	b, err := r.open(signed)
	return b.Checkpoint, err
}

// block is a signed checkpoint in the form kept on disk: three lines, an empty
// one, a signature line by the ledger's key, or two where one hands over to the
// next.
type block struct {
	Checkpoint
	text     []byte
	from, to int // places in the ring of the first and last key that signed it
}

// open verifies a signed checkpoint. The block has the ledger's own signatures
// only.
func (r *ring) open(signed []byte) (block, error) {
	if len(signed) > MaxCheckpoint {
		return block{}, errCheckpoint
	}
	n, err := note.Open(signed, r.verifiers())
	if err != nil {
		return block{}, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := parseText(n.Text)
	if err != nil {
		return block{}, err
	}
	if c.Origin != r.name {
		return block{}, fmt.Errorf("checkpoint of another ledger, %q", c.Origin)
	}
	slices.SortFunc(n.Sigs, func(a, b note.Signature) int { return r.place(a.Hash) - r.place(b.Hash) })
	b := block{Checkpoint: c, text: []byte(n.Text + "\n"), from: r.place(n.Sigs[0].Hash), to: r.place(n.Sigs[len(n.Sigs)-1].Hash)}
	for _, s := range n.Sigs {
		b.text = fmt.Appendf(b.text, "— %s %s\n", r.name, s.Base64)
	}
	if !b.handsOver(len(n.Sigs)) {
		return block{}, errCheckpoint
	}
	return b, nil
}

// handsOver says whether the keys of so many signatures are one, or one and its
// successor.
func (b *block) handsOver(signatures int) bool { return signatures <= 2 && b.to-b.from == signatures-1 }

// parseBlock reads a checkpoint as kept on disk. It does not verify the
// signatures.
func (r *ring) parseBlock(text []byte) (block, error) {
	head, sigs, ok := strings.Cut(string(text), "\n\n")
	if !ok || !strings.HasSuffix(sigs, "\n") {
		return block{}, errCheckpoint
	}
	c, err := parseText(head + "\n")
	if err != nil {
		return block{}, err
	}
	b := block{Checkpoint: c, text: text, from: -1}
	signatures := 0
	for line := range strings.Lines(sigs) {
		place, err := r.signedBy(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return block{}, err
		}
		if signatures++; signatures == 1 {
			b.from = place
		} else if place != b.to+1 {
			return block{}, errCheckpoint
		}
		b.to = place
	}
	if c.Origin != r.name || !b.handsOver(signatures) {
		return block{}, errCheckpoint
	}
	return b, nil
}

// signedBy is the place of the key that a signature line names.
func (r *ring) signedBy(line string) (int, error) {
	b64, ok := strings.CutPrefix(line, "— "+r.name+" ")
	if !ok {
		return 0, errors.New("checkpoint of another ledger")
	}
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(raw) < 5 || base64.StdEncoding.EncodeToString(raw) != b64 {
		return 0, errCheckpoint
	}
	place := r.place(binary.BigEndian.Uint32(raw))
	if place < 0 {
		return 0, errors.New("checkpoint by another key")
	}
	return place, nil
}
