package seal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// NewPrivateKey makes a key and writes it nowhere.
func NewPrivateKey() (*PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newPrivateKey(key)
}

// ParsePrivateKey reads what MarshalPEM or openssl wrote. Its errors, which are
// ErrMalformed, hold nothing of data.
func ParsePrivateKey(data []byte) (*PrivateKey, error) {
	key, err := parsePKCS8(data)
	if err != nil {
		return nil, fmt.Errorf("%w: private key: %w", ErrMalformed, err)
	}
	p, err := newPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: private key: %w", ErrMalformed, err)
	}
	return p, nil
}

func parsePKCS8(data []byte) (*ecdsa.PrivateKey, error) {
	der, err := parsePEM(data, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("not PKCS #8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T, want ECDSA", parsed)
	}
	return key, nil
}

// MarshalPEM returns the secret itself, as PKCS #8 in PEM: for whoever keeps it
// encrypted. Nothing else should call it.
func (p *PrivateKey) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
