package enrol

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	ekx509 "github.com/google/go-attestation/x509"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const (
	maxRootFile = 1 << 20 // bytes
	maxRoots    = 4096    // certificates in all; makers have some dozens
)

// Roots are the certificates of TPM makers that a gate's configuration names:
// self-signed ones are anchors of trust, others lead to them. Roots of hardware
// and of software TPMs are appended to one another.
type Roots []Root

// Root is one of them.
type Root struct {
	certificate *x509.Certificate
	software    bool
}

// LoadRoots reads PEM files, and of folders the files ending in .pem or .crt.
// A file must hold certificates of authorities and nothing else in PEM.
// software says that whatever they lead to is a software TPM, which the gate's
// owner takes on purpose.
func LoadRoots(paths []string, software bool) (Roots, error) {
	var roots Roots
	for _, path := range paths {
		files, err := rootFiles(path)
		if err != nil {
			return nil, fmt.Errorf("loading TPM roots: %w", err)
		}
		for _, file := range files {
			found, err := loadRoots(file, software)
			if err != nil {
				return nil, fmt.Errorf("loading TPM roots %q: %w", file, err)
			}
			if roots = append(roots, found...); len(roots) > maxRoots {
				return nil, fmt.Errorf("loading TPM roots: more than %d certificates", maxRoots)
			}
		}
	}
	return roots, nil
}

// Anchors returns the digests of the certificates that vouch for themselves, as
// [Origin] and an enrolment name them: SHA-256 in lower-case hex.
func (r Roots) Anchors() map[string]bool {
	anchors := make(map[string]bool)
	for _, root := range r {
		if selfSigned(root.certificate) {
			anchors[fmt.Sprintf("%x", sha256.Sum256(root.certificate.Raw))] = true
		}
	}
	return anchors
}

// rootFiles returns path, or the files of the folder that it is.
func rootFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".pem") || strings.HasSuffix(name, ".crt") {
			files = append(files, filepath.Join(path, name))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%q holds no file ending in .pem or .crt", path)
	}
	return files, nil
}

func loadRoots(path string, software bool) (Roots, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRootFile+1))
	if err != nil {
		return nil, err
	}
	return parseRoots(data, software)
}

func parseRoots(data []byte, software bool) (Roots, error) {
	if len(data) > maxRootFile {
		return nil, fmt.Errorf("more than %d bytes", maxRootFile)
	}
	// pem.Decode passes over what it cannot read; a root must not get lost so.
	begun := bytes.Count(data, []byte("-----BEGIN "))
	var roots Roots
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %q, want certificates alone", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, fmt.Errorf("certificate of %q is not an authority's", c.Subject)
		}
		roots = append(roots, Root{c, software})
	}
	if len(roots) == 0 {
		return nil, errors.New("holds no certificate in PEM")
	}
	if len(roots) != begun {
		return nil, fmt.Errorf("%d of %d certificates can be read", len(roots), begun)
	}
	return roots, nil
}

// selfSigned says that nobody vouches for the certificate but itself.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil
}

// SoftwareRoots returns, in PEM, the certificates that a gate must configure as
// software roots to enrol the software TPM in dir: those of the authority that
// swtpm's tools made for this TPM alone. It is for demonstrations.
func SoftwareRoots(dir string) ([]byte, error) {
	var bundle []byte
	for _, name := range []string{"swtpm-localca-rootca-cert.pem", "issuercert.pem"} {
		data, err := os.ReadFile(filepath.Join(dir, "tpm", "ca", name))
		if err != nil {
			return nil, fmt.Errorf("reading software TPM's roots: %w", err)
		}
		bundle = append(bundle, data...)
	}
	if _, err := parseRoots(bundle, true); err != nil {
		return nil, fmt.Errorf("reading software TPM's roots: %w", err)
	}
	return bundle, nil
}

// Origin is where an endorsement key comes from, as far as a gate can tell.
type Origin struct {
	Mode     seal.Mode `json:"mode"`           // seal.ModeCertified or seal.ModeFingerprint
	Root     string    `json:"root,omitempty"` // SHA-256 of the root's certificate, hex; certified only
	Software bool      `json:"software"`       // the TPM is a program
	Why      string    `json:"why,omitempty"`  // why no root vouches for it; fingerprint only
}

func (o Origin) check() error {
	_, err := manifest.ParseHash(o.Root)
	certified := o.Mode == seal.ModeCertified && err == nil && o.Why == ""
	compared := o.Mode == seal.ModeFingerprint && o.Root == "" && !o.Software && o.Why != ""
	if !certified && !compared {
		return fmt.Errorf("endorsement key's origin is %.500q", fmt.Sprint(o))
	}
	return nil
}

// origin judges an endorsement key and its certificate. software is the kiosk's
// own word: it can make a TPM less than its certificate says, never more.
func (r Roots) origin(e Endorsement, software bool, now time.Time) (Origin, error) {
	if len(e.Certificate) == 0 {
		return fingerprint(software, "the TPM has no endorsement certificate")
	}
	c, err := x509.ParseCertificate(e.Certificate)
	if err == nil && c.PublicKey == nil {
		err = errors.New("its key is of an unknown kind")
	}
	if err != nil { // makers' certificates break many rules
		return fingerprint(software, fmt.Sprintf("the endorsement certificate cannot be read: %.200q", err.Error()))
	}
	if err := sameKey(e.Public, c.PublicKey); err != nil {
		return Origin{}, fmt.Errorf("%w: %w", ErrChain, err)
	}
	if err := current(c, now); err != nil {
		return Origin{}, err
	}
	// Endorsement certificates name their TPM in a critical extension that
	// crypto/x509 cannot read; this reads it, and marks it so in c.
	ek, err := ekx509.ToEKCertificate(c)
	if err != nil {
		return fingerprint(software, fmt.Sprintf("the endorsement certificate is not one of a TPM: %.200q", err.Error()))
	}
	for _, kind := range []bool{false, true} {
		root, err := r.chain(c, kind, now)
		if err != nil {
			return Origin{}, err
		}
		if root != nil {
			return Origin{Mode: seal.ModeCertified, Root: fmt.Sprintf("%x", sha256.Sum256(root.Raw)), Software: kind || software || program(ek)}, nil
		}
	}
	return fingerprint(software || program(ek), fmt.Sprintf("no configured root leads to its issuer %.200q", c.Issuer.String()))
}

// fingerprint leaves the judgement to two people, who cannot see into a program.
func fingerprint(software bool, why string) (Origin, error) {
	if software {
		return Origin{}, fmt.Errorf("%w: %s", ErrSoftware, why)
	}
	return Origin{Mode: seal.ModeFingerprint, Why: why}, nil
}

// program says that a certificate calls its TPM a program: swtpm's own words.
func program(c *ekx509.EKCertificate) bool {
	return strings.Contains(strings.ToLower(c.TpmModel), "swtpm") || c.TpmManufacturer == "id:00001014"
}

// chain returns the anchor, of software TPMs or of others, that c leads to; nil
// when there is none.
func (r Roots) chain(c *x509.Certificate, software bool, now time.Time) (*x509.Certificate, error) {
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: now,
	}
	for _, root := range r {
		if !selfSigned(root.certificate) {
			options.Intermediates.AddCert(root.certificate)
		} else if root.software == software {
			options.Roots.AddCert(root.certificate)
		}
	}
	if chains, err := c.Verify(options); err == nil {
		return chains[0][len(chains[0])-1], nil
	}
	// Verify does not tell an expired issuer from an unknown one.
	options.CurrentTime = c.NotBefore
	chains, err := c.Verify(options)
	if err != nil {
		return nil, nil
	}
	for _, issuer := range chains[0] {
		if err := current(issuer, now); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// current refuses a certificate outside its time.
func current(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return fmt.Errorf("%w: certificate of %.200q is valid from %s to %s, and it is %s", ErrChain, c.Subject.String(),
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}
