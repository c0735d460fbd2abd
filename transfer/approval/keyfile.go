package approval

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"filippo.io/age"
	"filippo.io/age/armor"

	"sekisho/transfer/durable"
	"sekisho/transfer/seal"
)

// MinPassphrase is the length of the shortest passphrase, in characters. Whoever
// copies the file may try passphrases for ever; age makes each try cost about a
// second and 256 MiB, which is enough against twelve characters that nobody can
// guess, and not against eight. Five words drawn by lot are better still.
const MinPassphrase = 12

const (
	maxKeyFile = 16 << 10 // bytes
	// maxWork bounds what a file may ask of us: 2^20 is a gigabyte and seconds.
	// age writes 2^18.
	maxWork = 20
)

var (
	// ErrShort: the passphrase is too short. The operator chooses another.
	ErrShort = fmt.Errorf("the passphrase has fewer than %d characters", MinPassphrase)
	// ErrPassphrase: it is not the passphrase of this key. The operator types it
	// again.
	ErrPassphrase = errors.New("the passphrase is wrong")
	// ErrNotKey: the operator takes another file, or the copy of it.
	ErrNotKey = errors.New("not a key with a passphrase, or damaged")
)

// CreateKey makes an ECDSA P-256 key of IT's, that is used offline: for
// approvals, or for bundles of definitions. The file (PKCS #8 in PEM, encrypted
// with the passphrase by age, armored, mode 0600) is on disk when it returns
// nil; the key was never there in the plain. It never replaces a file. It takes
// about a second. "age -d" reads the file too.
func CreateKey(path, passphrase string) (*seal.PrivateKey, error) {
	if utf8.RuneCountInString(passphrase) < MinPassphrase {
		return nil, fmt.Errorf("creating key %q: %w", path, ErrShort)
	}
	if there, err := present(path); err != nil || there { // said before the second is spent
		return nil, fmt.Errorf("creating key %q: %w", path, cmp.Or(err, fs.ErrExist))
	}
	key, err := seal.NewPrivateKey()
	if err != nil {
		return nil, fmt.Errorf("creating key %q: %w", path, err)
	}
	data, err := encryptKey(key, passphrase)
	if err != nil {
		return nil, fmt.Errorf("creating key %q: %w", path, err)
	}
	if err := durable.WriteNew(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("creating key: %w", err)
	}
	return key, nil
}

func encryptKey(key *seal.PrivateKey, passphrase string) ([]byte, error) {
	plain, err := key.MarshalPEM()
	if err != nil {
		return nil, err
	}
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, recipient)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plain)
	if err := errors.Join(err, w.Close(), armored.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// LoadKey opens what CreateKey wrote: ErrPassphrase when that is wrong, ErrNotKey
// when the file is something else. It does not look at the file's mode: on the
// drive in IT's safe there may be none.
func LoadKey(path, passphrase string) (*seal.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("loading key: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("loading key: %w", err)
	}
	key, err := decryptKey(data, passphrase)
	if err != nil {
		return nil, fmt.Errorf("loading key %q: %w", path, err)
	}
	return key, nil
}

func decryptKey(data []byte, passphrase string) (*seal.PrivateKey, error) {
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrNotKey, maxKeyFile)
	}
	if passphrase == "" { // age wants one
		return nil, ErrPassphrase
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	identity.SetMaxWorkFactor(maxWork)
	// age's own errors quote what it read, which may be a key in the plain.
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(data)), protected{identity})
	switch {
	case err == nil:
	case errors.Is(err, age.ErrIncorrectIdentity):
		return nil, ErrPassphrase
	default:
		return nil, ErrNotKey
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, ErrNotKey
	}
	key, err := seal.ParsePrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotKey, err)
	}
	return key, nil
}

// protected tells a file without a passphrase from one with another: age gives
// the same error for both.
type protected struct{ *age.ScryptIdentity }

func (p protected) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, ErrNotKey
	}
	return p.ScryptIdentity.Unwrap(stanzas)
}
