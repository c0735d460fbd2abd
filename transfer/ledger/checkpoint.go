package ledger

import (
	"crypto"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
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

// sign makes the block that stands in the file of checkpoints.
func (c Checkpoint) sign(s *signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.text()}, s)
}

// ParseCheckpoint verifies a signed checkpoint of the ledger origin with its
// key. Signatures by other keys are ignored; what is returned is what the
// ledger's key signed. ECDSA signatures can be rewritten without the key, so
// two notes are the same checkpoint when their Checkpoint is.
func ParseCheckpoint(signed []byte, origin string, pub crypto.PublicKey) (Checkpoint, error) {
	k, err := newKey(origin, pub)
	if err != nil {
		return Checkpoint{}, err
	}
	c, _, err := k.open(signed)
	return c, err
}

// open verifies a signed checkpoint and returns it also as a block: the form
// kept on disk, with the ledger's own signature only.
func (k *key) open(signed []byte) (Checkpoint, []byte, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, nil, errCheckpoint
	}
	n, err := note.Open(signed, note.VerifierList(k))
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := parseText(n.Text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if c.Origin != k.name {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint of another ledger, %q", c.Origin)
	}
	return c, fmt.Appendf(nil, "%s\n— %s %s\n", n.Text, k.name, n.Sigs[0].Base64), nil
}

// parseBlock reads a checkpoint as kept on disk: three lines, an empty one, one
// signature line by this key. It does not verify the signature.
func (k *key) parseBlock(block []byte) (Checkpoint, error) {
	text, sig, ok := strings.Cut(string(block), "\n\n")
	if !ok {
		return Checkpoint{}, errCheckpoint
	}
	c, err := parseText(text + "\n")
	if err != nil {
		return Checkpoint{}, err
	}
	sig, ok = strings.CutPrefix(sig, "— "+k.name+" ")
	if c.Origin != k.name || !ok {
		return Checkpoint{}, errors.New("checkpoint of another ledger")
	}
	b64, ok := strings.CutSuffix(sig, "\n")
	raw, err := base64.StdEncoding.DecodeString(b64)
	if !ok || err != nil || len(raw) < 5 || base64.StdEncoding.EncodeToString(raw) != b64 {
		return Checkpoint{}, errCheckpoint
	}
	if binary.BigEndian.Uint32(raw) != k.id {
		return Checkpoint{}, errors.New("checkpoint by another key")
	}
	return c, nil
}
