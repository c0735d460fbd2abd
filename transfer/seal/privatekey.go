package seal

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// PrivateKey is an ECDSA P-256 key in a file, for the signatures that need no
// TPM: the gate's receipts, approvals, bundles. One key per purpose. It is safe
// for concurrent use and never prints itself.
type PrivateKey struct {
	key    *ecdsa.PrivateKey
	public *PublicKey
}

// CreatePrivateKey makes a key and writes it to path (PKCS #8 in PEM, mode
// 0600). Key and name are on disk when it returns nil. It never replaces a
// file; after a power cut path+".part" may stay behind, which it replaces.
func CreatePrivateKey(path string) (*PrivateKey, error) {
	p, err := NewPrivateKey()
	if err != nil {
		return nil, err
	}
	data, err := p.MarshalPEM()
	if err != nil {
		return nil, err
	}
	if err := writeNew(path, data); err != nil {
		return nil, fmt.Errorf("creating key %q: %w", path, err)
	}
	return p, nil
}

// LoadPrivateKey reads a key that CreatePrivateKey or openssl wrote. It refuses
// a file that anyone but its owner may read.
func LoadPrivateKey(path string) (*PrivateKey, error) {
	data, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("loading key: %w", err)
	}
	p, err := ParsePrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("loading key %q: %w", path, err)
	}
	return p, nil
}

func newPrivateKey(key *ecdsa.PrivateKey) (*PrivateKey, error) {
	public, err := newPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{key, public}, nil
}

// Public returns the key's public half.
func (p *PrivateKey) Public() *PublicKey { return p.public }

// Signer returns the key for other signature formats.
func (p *PrivateKey) Signer() crypto.Signer { return p.key }

// Sign returns an envelope with payload, at most MaxPayload bytes, signed.
func (p *PrivateKey) Sign(payloadType string, payload []byte) ([]byte, error) {
	if err := checkPayload(payloadType, payload); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	der, err := p.sign(pae(payloadType, payload))
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return newEnvelope(payloadType, payload, p.public, der)
}

// String and GoString keep the secret out of logs.
func (p *PrivateKey) String() string   { return "private key " + p.public.KeyID() }
func (p *PrivateKey) GoString() string { return p.String() }

// writeNew: open(O_EXCL) → write → fsync → close → renameat2(NOREPLACE) → fsync(dir).
func writeNew(path string, data []byte) error {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = unix.Renameat2(unix.AT_FDCWD, part, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return syncPath(filepath.Dir(path))
}

// syncPath flushes a file or folder by name.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// readPrivate reads a small file that only its owner may read.
func readPrivate(path string) ([]byte, error) {
	// Non-blocking, as a pipe of that name would otherwise hold us here.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%q may be read or written by others (mode %#o): make it 0600", path, mode)
	}
	return io.ReadAll(io.LimitReader(f, maxPEM+1))
}
