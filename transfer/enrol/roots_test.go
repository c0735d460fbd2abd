package enrol

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-attestation/oid"
	ekx509 "github.com/google/go-attestation/x509"

	"sekisho/transfer/seal"
)

// maker is an invented maker of TPMs: a root and an authority below it.
type maker struct {
	root, issuer       *x509.Certificate
	rootKey, issuerKey *ecdsa.PrivateKey
}

type validity struct{ from, until time.Time }

var (
	now     = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	decade  = validity{now.AddDate(-5, 0, 0), now.AddDate(5, 0, 0)}
	expired = validity{now.AddDate(-6, 0, 0), now.AddDate(0, 0, -1)}
	future  = validity{now.AddDate(0, 0, 1), now.AddDate(5, 0, 0)}
)

func newMaker(t *testing.T, name string, root, issuer validity) *maker {
	t.Helper()
	m := &maker{rootKey: newKey(t), issuerKey: newKey(t)}
	authority := func(name string, v validity) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: v.from, NotAfter: v.until,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	m.root = sign(t, authority(name+" root", root), authority(name+" root", root), &m.rootKey.PublicKey, m.rootKey)
	m.issuer = sign(t, authority(name+" issuer", issuer), m.root, &m.issuerKey.PublicKey, m.rootKey)
	return m
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// endorse issues an endorsement certificate as makers do: no subject, and the
// TPM's name in a critical extension.
func (m *maker) endorse(t *testing.T, key crypto.PublicKey, model string, v validity) []byte {
	t.Helper()
	name, err := ekx509.MarshalSubjectAltName(&ekx509.SubjectAltName{DirectoryNames: []pkix.Name{{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: oid.TPMManufacturer, Value: "id:54455354"}, {Type: oid.TPMModel, Value: model}, {Type: oid.TPMVersion, Value: "id:00010000"},
	}}}}, true)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: v.from, NotAfter: v.until, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageKeyEncipherment, ExtraExtensions: []pkix.Extension{{Id: oid.SubjectAltName, Critical: true, Value: name.Value}},
	}
	if _, ok := key.(*ecdsa.PublicKey); ok {
		template.KeyUsage = x509.KeyUsageKeyAgreement
	}
	return sign(t, template, m.issuer, key, m.issuerKey).Raw
}

// write puts the maker's certificates into a file, as a gate configures them.
func (m *maker) write(t *testing.T, certificates ...*x509.Certificate) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roots.pem")
	var bundle []byte
	for _, c := range certificates {
		bundle = append(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if err := os.WriteFile(path, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, software bool, paths ...string) Roots {
	t.Helper()
	roots, err := LoadRoots(paths, software)
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// area lays out the TCG template's public area around a key.
func area(key crypto.PublicKey) []byte {
	be := binary.BigEndian
	head := func(kind uint16) []byte {
		out := be.AppendUint32(be.AppendUint16(be.AppendUint16(nil, kind), 0x000B), 0x000300B2)
		out = append(be.AppendUint16(out, 32), make([]byte, 32)...) // the policy; not compared
		return append(out, 0, 6, 0, 128, 0, 0x43, 0, 0x10)          // AES-128-CFB, no scheme
	}
	sized := func(out, b []byte) []byte { return append(be.AppendUint16(out, uint16(len(b))), b...) }
	switch key := key.(type) {
	case *rsa.PublicKey:
		return sized(append(head(1), 8, 0, 0, 0, 0, 0), key.N.FillBytes(make([]byte, 256)))
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		return sized(sized(append(head(0x23), 0, 3, 0, 0x10), point[1:33]), point[33:])
	}
	panic(fmt.Sprintf("key %T", key))
}

func TestOriginOfHardware(t *testing.T) {
	m, other := newMaker(t, "Ishi", decade, decade), newMaker(t, "Kawa", decade, decade)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	eccKey := newKey(t)
	trusted := mustLoad(t, false, m.write(t, m.root, m.issuer))
	program := mustLoad(t, true, m.write(t, m.root, m.issuer))
	root := fmt.Sprintf("%x", sha256.Sum256(m.root.Raw))
	for _, c := range []struct {
		name        string
		roots       Roots
		key         crypto.PublicKey
		certificate []byte
		software    bool
		want        Origin
		err         error
		says        string
	}{
		{"RSA", trusted, &rsaKey.PublicKey, m.endorse(t, &rsaKey.PublicKey, "T1", decade), false, Origin{Mode: seal.ModeCertified, Root: root}, nil, ""},
		{"P-256", trusted, &eccKey.PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", decade), false, Origin{Mode: seal.ModeCertified, Root: root}, nil, ""},
		{"says software all the same", trusted, &eccKey.PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", decade), true, Origin{Mode: seal.ModeCertified, Root: root, Software: true}, nil, ""},
		{"root of software TPMs", program, &eccKey.PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", decade), false, Origin{Mode: seal.ModeCertified, Root: root, Software: true}, nil, ""},
		{"root of both kinds", append(program, trusted...), &eccKey.PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", decade), false, Origin{Mode: seal.ModeCertified, Root: root}, nil, ""},
		{"another's certificate", trusted, &rsaKey.PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", decade), false, Origin{}, ErrChain, "not on P-256"},
		{"another ECC key's", trusted, &newKey(t).PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", decade), false, Origin{}, ErrChain, "another endorsement key's"},
		{"another's, unknown maker", nil, &newKey(t).PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", decade), false, Origin{}, ErrChain, "another endorsement key's"},
		{"expired", trusted, &eccKey.PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", expired), false, Origin{}, ErrChain, "valid from 2020-11-22T12:00:00Z to 2026-11-21T12:00:00Z"},
		{"not yet valid", trusted, &eccKey.PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", future), false, Origin{}, ErrChain, "valid from 2026-11-23T12:00:00Z"},
		{"expired, unknown maker", nil, &eccKey.PublicKey, m.endorse(t, &eccKey.PublicKey, "T1", expired), false, Origin{}, ErrChain, "valid from"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := c.roots.origin(Endorsement{area(c.key), c.certificate}, c.software, now)
			if !errors.Is(err, c.err) || o != c.want || c.err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v, want %+v, %v %q", o, err, c.want, c.err, c.says)
			}
		})
	}

	// Where no root vouches, two people must; a program they would not recognise.
	for _, c := range []struct {
		name        string
		roots       Roots
		certificate []byte
		software    bool
		err         error
		why         string
	}{
		{"no certificate", trusted, nil, false, nil, "no endorsement certificate"},
		{"no certificate, software", trusted, nil, true, ErrSoftware, "no endorsement certificate"},
		{"another maker", trusted, other.endorse(t, &eccKey.PublicKey, "T1", decade), false, nil, `"CN=Kawa issuer"`},
		{"another maker, says software", trusted, other.endorse(t, &eccKey.PublicKey, "T1", decade), true, ErrSoftware, "Kawa"},
		{"another maker, named swtpm", trusted, other.endorse(t, &eccKey.PublicKey, "swTPM 0.7", decade), false, ErrSoftware, "Kawa"},
		{"no roots", nil, m.endorse(t, &eccKey.PublicKey, "T1", decade), false, nil, "Ishi"},
		{"root without issuer", mustLoad(t, false, m.write(t, m.root)), m.endorse(t, &eccKey.PublicKey, "T1", decade), false, nil, "Ishi"},
		{"issuer without root", mustLoad(t, false, m.write(t, m.issuer)), m.endorse(t, &eccKey.PublicKey, "T1", decade), false, nil, "Ishi"},
		{"self-signed", trusted, selfEndorsed(t, eccKey), false, nil, "not one of a TPM"},
		{"not a certificate", trusted, []byte("\x30\x03abc"), false, nil, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := c.roots.origin(Endorsement{area(&eccKey.PublicKey), c.certificate}, c.software, now)
			if c.err != nil {
				if !errors.Is(err, c.err) || o != (Origin{}) || !strings.Contains(err.Error(), c.why) {
					t.Errorf("got %+v, %v, want %v %q", o, err, c.err, c.why)
				}
			} else if err != nil || o.Mode != seal.ModeFingerprint || o.Root != "" || o.Software || !strings.Contains(o.Why, c.why) {
				t.Errorf("got %+v, %v, want %q", o, err, c.why)
			}
		})
	}
}

func selfEndorsed(t *testing.T, key *ecdsa.PrivateKey) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: decade.from, NotAfter: decade.until, Subject: pkix.Name{CommonName: "me"}}
	return sign(t, template, template, &key.PublicKey, key).Raw
}

// crypto/x509 calls an expired issuer an unknown one; the operator is told which
// it is, and nobody takes it for a TPM without a maker.
func TestExpiredIssuers(t *testing.T) {
	key := newKey(t)
	for name, m := range map[string]*maker{
		"root":   newMaker(t, "Ishi", expired, decade),
		"issuer": newMaker(t, "Ishi", decade, expired),
	} {
		roots := mustLoad(t, false, m.write(t, m.root, m.issuer))
		o, err := roots.origin(Endorsement{area(&key.PublicKey), m.endorse(t, &key.PublicKey, "T1", decade)}, false, now)
		if !errors.Is(err, ErrChain) || o != (Origin{}) || !strings.Contains(err.Error(), "Ishi "+name) || !strings.Contains(err.Error(), "2026-11-21T12:00:00Z") {
			t.Errorf("expired %s: %+v, %v", name, o, err)
		}
	}
}

func TestLoadRootsRefuses(t *testing.T) {
	m := newMaker(t, "Ishi", decade, decade)
	key, err := x509.MarshalPKCS8PrivateKey(m.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(m.write(t, m.root))
	if err != nil {
		t.Fatal(err)
	}
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.endorse(t, &newKey(t).PublicKey, "T1", decade)}))
	for name, c := range map[string]struct{ content, says string }{
		"empty":        {"", "no certificate in PEM"},
		"DER":          {string(m.root.Raw), "no certificate in PEM"},
		"private key":  {string(good) + secret, `holds a "PRIVATE KEY"`},
		"endorsement":  {leaf, "not an authority's"},
		"broken":       {strings.Replace(string(good), "MII", "MIJ", 1), "x509"},
		"second lost":  {string(good) + string(good[:len(good)/2]), "1 of 2"},
		"far too long": {strings.Repeat(" ", maxRootFile+1), "more than"},
	} {
		path := filepath.Join(t.TempDir(), "roots.pem")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{path, filepath.Dir(path)} {
			roots, err := LoadRoots([]string{path}, false)
			if err == nil || roots != nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "MII") {
				t.Errorf("%s: %d roots, %v, want %q", name, len(roots), err, c.says)
			}
		}
	}
	if roots, err := LoadRoots([]string{t.TempDir()}, false); err == nil || roots != nil {
		t.Errorf("an empty folder: %d roots", len(roots))
	}
	if roots, err := LoadRoots([]string{filepath.Join(t.TempDir(), "none")}, false); !errors.Is(err, os.ErrNotExist) || roots != nil {
		t.Errorf("no such file: %d roots, %v", len(roots), err)
	}
	if roots, err := LoadRoots(nil, false); err != nil || len(roots) != 0 {
		t.Errorf("none configured: %d roots, %v", len(roots), err)
	}
	if roots := mustLoad(t, false, m.write(t, m.root, m.issuer), filepath.Dir(m.write(t, m.root))); len(roots) != 3 {
		t.Errorf("a file and a folder: %d roots, want 3", len(roots))
	}
}
