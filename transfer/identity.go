package transfer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"

	"sekisho/transfer/manifest"
)

// Identity opens what a bag encrypts: with the gate's key, one of those it had
// before, or the recovery key. It accepts only the header that a kiosk writes,
// two hybrid recipients and nothing else, so that no third party was given the
// content unseen.
type Identity struct{ keys []*age.HybridIdentity }

const hybridStanza = "mlkem768x25519"

// NewIdentity reads age identity files of one hybrid key each; lines that begin
// with # are comments. Keys are tried in their order. The error never holds one.
func NewIdentity(texts ...string) (Identity, error) {
	var id Identity
	for _, text := range texts {
		key, err := parseIdentity(text)
		if err != nil {
			return Identity{}, err
		}
		id.keys = append(id.keys, key)
	}
	if id.keys == nil {
		return Identity{}, errNoKey
	}
	return id, nil
}

var errNoKey = errors.New("there is no key in it")

func parseIdentity(text string) (*age.HybridIdentity, error) {
	var found *age.HybridIdentity
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := age.ParseHybridIdentity(line)
		if err != nil || found != nil {
			return nil, errors.New("not an identity file of exactly one key that begins with AGE-SECRET-KEY-PQ-1")
		}
		found = key
	}
	if found == nil {
		return nil, errNoKey
	}
	return found, nil
}

// Recipient is the public half of the first key.
func (i Identity) Recipient() string { return i.keys[0].Recipient().String() }

// Recipients are the public halves of all keys.
func (i Identity) Recipients() []string {
	var all []string
	for _, key := range i.keys {
		all = append(all, key.Recipient().String())
	}
	return all
}

// String and GoString keep the secrets out of logs.
func (i Identity) String() string   { return fmt.Sprintf("age identity of %d keys", len(i.keys)) }
func (i Identity) GoString() string { return i.String() }

var errStanzas = errors.New("it is not encrypted to exactly two hybrid keys")

// Unwrap implements age.Identity.
func (i Identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 2 || stanzas[0].Type != hybridStanza || stanzas[1].Type != hybridStanza {
		return nil, errStanzas
	}
	for _, key := range i.keys {
		fileKey, err := key.Unwrap(stanzas)
		if !errors.Is(err, age.ErrIncorrectIdentity) {
			return fileKey, err
		}
	}
	return nil, age.ErrIncorrectIdentity
}

// open decrypts a file whose hash was verified. Reading to the end is what
// proves it whole.
func (i Identity) open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := i.decrypt(f, path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// decrypt opens ciphertext whose hash was verified; name is for messages.
func (i Identity) decrypt(src io.Reader, name string) (io.Reader, error) {
	r, err := age.Decrypt(bufio.NewReaderSize(src, 256<<10), i)
	if errors.Is(err, errStanzas) {
		return nil, refuse(Malformed, name, err)
	}
	if err != nil {
		return nil, refuse(Undecryptable, name, err)
	}
	return decrypting{r}, nil
}

// decrypting names age's errors for what they are: the hash held, so the kiosk
// wrote it so.
type decrypting struct{ io.Reader }

func (d decrypting) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = refuse(Undecryptable, "", err)
	}
	return n, err
}

// openIndex opens the index of the bag in dir.
func (i Identity) openIndex(dir, transfer string) (*manifest.IndexReader, io.Closer, error) {
	f, err := i.open(dir + "/" + manifest.Index)
	if err != nil {
		return nil, nil, err
	}
	x, err := manifest.NewIndexReader(f, transfer)
	if err != nil {
		return nil, nil, errors.Join(malformedIn(manifest.Index, err), f.Close())
	}
	return x, f, nil
}

// malformedIn gives a parser's error its reason; any other is passed on.
func malformedIn(where string, err error) error {
	if errors.Is(err, manifest.ErrMalformed) {
		return refuse(Malformed, where, fmt.Errorf("%w", err))
	}
	return err
}
