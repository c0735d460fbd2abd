package seal

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

var someSecret = bytes.Repeat([]byte{0x5A}, 32)

// endorsementECC is the TPM's key of the second template, which swtpm carries no
// certificate of.
func endorsementECC(t testing.TB, tpm *TPM) []byte {
	t.Helper()
	made, err := tpm.endorsementKey(tpm2.ECCEKTemplate)
	if err != nil {
		t.Fatal(err)
	}
	if err := tpm.forget(made.ObjectHandle); err != nil {
		t.Fatal(err)
	}
	return made.OutPublic.Bytes()
}

func endorsementRSA(t testing.TB, tpm *TPM) Endorsement {
	t.Helper()
	e, err := tpm.Endorsement(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// In both forms, with no approval needed.
func TestActivation(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	rsa := endorsementRSA(t, tpm)
	if len(rsa.Certificate) == 0 || len(rsa.Public) < rsaSize {
		t.Fatalf("%+v", rsa)
	}
	plain := newKey(t, tpm)
	other := openIn(t, otherFolder())
	otherKey := newKey(t, other)
	for name, ek := range map[string][]byte{"RSA": rsa.Public, "ECC": endorsementECC(t, tpm)} {
		for _, form := range []string{"plain", "bound"} {
			k := newKey(t, tpm)
			if form == "bound" {
				k = newBound(t, tpm).Key
			}
			c, err := MakeCredential(ek, k.Identity().Key, someSecret)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := k.Activate(context.Background(), c); err != nil || !bytes.Equal(got, someSecret) {
				t.Errorf("%s, %s: %x, %v", name, form, got, err)
			}
			forOther, err := MakeCredential(ek, otherKey.Identity().Key, someSecret)
			if err != nil {
				t.Fatal(err)
			}
			altered := Credential{bytes.Clone(c.Blob), bytes.Clone(c.Secret)}
			altered.Blob[len(altered.Blob)-1] ^= 1
			for what, c := range map[string]Credential{
				"for another key": forOther, "altered": altered, "empty": {}, "huge": {make([]byte, maxBlob+1), c.Secret},
				"another size": {c.Blob, c.Secret[1:]}, "no secret": {c.Blob, make([]byte, len(c.Secret))},
			} {
				if got, err := k.Activate(context.Background(), c); !errors.Is(err, ErrBadRequest) || got != nil {
					t.Errorf("%s, %s: credential %s: %x, %v", name, form, what, got, err)
				}
			}
		}
	}
	// Made for the other TPM's endorsement key, and this one's sealing key.
	c, err := MakeCredential(endorsementECC(t, other), plain.Identity().Key, someSecret)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := newKey(t, tpm).Activate(context.Background(), c); !errors.Is(err, ErrBadRequest) || got != nil {
		t.Errorf("credential for another TPM: %x, %v", got, err)
	}
	if h := sessions(t, tpm); len(h) > 0 {
		t.Errorf("left in the TPM: %x", h)
	}
}

// The certificate is of the key that comes with it, as another tool sees it.
func TestEndorsementMatchesItsCertificate(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	e := endorsementRSA(t, tpm)
	path := filepath.Join(t.TempDir(), "ek.der")
	if err := os.WriteFile(path, e.Certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command("openssl", "x509", "-inform", "DER", "-in", path, "-noout", "-pubkey").Output()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](e.Public)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*public)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil || !bytes.Equal(der, block.Bytes) {
		t.Errorf("the certificate is of another key (%v)", err)
	}
}

// Makers pad the certificate with 0xFF; without one the quicker key is made.
func TestEndorsementCertificates(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	real := endorsementRSA(t, tpm).Certificate
	platform := tpm2.AuthHandle{Handle: tpm2.TPMRHPlatform, Auth: tpm2.PasswordAuth(nil)}
	remove := func(handle tpm2.TPMHandle) {
		t.Helper()
		i, err := tpm.readIndex(handle)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (tpm2.NVUndefineSpace{AuthHandle: platform, NVIndex: i.handle}).Execute(tpm.link); err != nil {
			t.Fatal(err)
		}
	}
	store := func(handle tpm2.TPMHandle, data []byte) {
		t.Helper()
		public := tpm2.TPMSNVPublic{NVIndex: handle, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(data)),
			Attributes: tpm2.TPMANV{PPWrite: true, PPRead: true, OwnerRead: true, AuthRead: true, NoDA: true, PlatformCreate: true}}
		if _, err := (tpm2.NVDefineSpace{AuthHandle: platform, PublicInfo: tpm2.New2B(public)}).Execute(tpm.link); err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(data); at += 512 {
			i, err := tpm.readIndex(handle)
			if err != nil {
				t.Fatal(err)
			}
			part := data[at:min(at+512, len(data))]
			if _, err := (tpm2.NVWrite{AuthHandle: platform, NVIndex: i.handle, Offset: uint16(at), Data: tpm2.TPM2BMaxNVBuffer{Buffer: part}}).Execute(tpm.link); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove(certificateRSA)
	none := endorsementRSA(t, tpm)
	if none.Certificate != nil || binary.BigEndian.Uint16(none.Public) != algECC {
		t.Errorf("without a certificate: %+v", none)
	}
	store(certificateECC, append(bytes.Clone(real), bytes.Repeat([]byte{0xFF}, 200)...))
	if e := endorsementRSA(t, tpm); !bytes.Equal(e.Certificate, real) || !bytes.Equal(e.Public, none.Public) {
		t.Errorf("with a padded certificate of %d bytes: %d bytes", len(real), len(e.Certificate))
	}
	store(certificateRSA, bytes.Repeat([]byte{0xFF}, 600))
	if e := endorsementRSA(t, tpm); !bytes.Equal(e.Certificate, real) {
		t.Error("took an empty place for a certificate")
	}
}

// A person who waits for a chip's primes may give up.
func TestEndorsementIsGivenUp(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	ctx, cancel := context.WithCancel(context.Background())
	raw := tpm.link.raw
	tpm.link.raw = &injecting{raw, func(command []byte) []byte {
		if tpm2.TPMCC(commandCode(command)) == tpm2.TPMCCCreatePrimary {
			cancel()
			<-t.Context().Done()
		}
		return nil
	}}
	if e, err := tpm.Endorsement(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNoAnswer) || e.Public != nil {
		t.Errorf("given up: %v", err)
	}
	if _, err := k.Counter(); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestMakeCredentialRefuses(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	rsa, ecc := endorsementRSA(t, tpm).Public, endorsementECC(t, tpm)
	key := newKey(t, tpm).Identity().Key
	set := func(public []byte, at int, b byte) []byte {
		out := bytes.Clone(public)
		out[at] = b
		return out
	}
	for _, c := range []struct {
		name, reason string
		ek, key      []byte
		secret       []byte
	}{
		{"RSA, no policy", "not of the TCG's template", append(append(bytes.Clone(rsa[:8]), 0, 0), rsa[42:]...), key, someSecret},
		{"RSA, another attribute", "not of the TCG's template", set(rsa, 5, rsa[5]^2), key, someSecret},
		{"RSA, may sign", "not of the TCG's template", set(rsa, 5, rsa[5]|4), key, someSecret},
		{"RSA, small", "not a key of 2048 bits", set(rsa, len(rsa)-rsaSize, 0x7F), key, someSecret},
		{"RSA, even", "not a key of 2048 bits", set(rsa, len(rsa)-1, 2), key, someSecret},
		{"RSA, cut", "not a key of 2048 bits", rsa[:len(rsa)-1], key, someSecret},
		{"RSA, bytes after", "not a key of 2048 bits", append(bytes.Clone(rsa), 0), key, someSecret},
		{"ECC, not on the curve", "not on the curve", set(ecc, len(ecc)-1, ecc[len(ecc)-1]^1), key, someSecret},
		{"ECC, cut", "point is malformed", ecc[:len(ecc)-1], key, someSecret},
		{"ECC, another curve", "not of the TCG's template", bytes.Replace(ecc, []byte{0, 3, 0, 0x10}, []byte{0, 4, 0, 0x10}, 1), key, someSecret},
		{"a sealing key", "not of the TCG's template", key, key, someSecret},
		{"nothing", "not of the TCG's template", nil, key, someSecret},
		{"for an endorsement key", "key lacks the attribute noDA", ecc, ecc, someSecret},
		{"for a free key", "key lacks the attribute restricted", ecc, set(key, 5, key[5]&^1), someSecret},
		{"for nothing", "cut short", ecc, nil, someSecret},
		{"short secret", "15 bytes", ecc, key, someSecret[:15]},
		{"long secret", "33 bytes", ecc, key, append(bytes.Clone(someSecret), 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := MakeCredential(c.ek, c.key, c.secret)
			if err == nil || got.Blob != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %q, want %q", err, c.reason)
			}
			if bad := len(c.secret) == len(someSecret); errors.Is(err, ErrBadRequest) != bad {
				t.Errorf("%q is of the wrong class", err)
			}
			if err != nil && bytes.Contains([]byte(err.Error()), someSecret) {
				t.Error("shows the secret")
			}
		})
	}
}
