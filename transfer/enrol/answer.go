package enrol

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

const answerFormat = "sekisho-enrol-answer/1"

// Answer is the kiosk's reply to a challenge. It is no secret.
type Answer struct {
	Request manifest.Hash `json:"request"` // digest of the request
	Name    string        `json:"name"`    // the kiosk's, for whoever finds the file
	MAC     manifest.Hash `json:"mac"`     // by the secret, over request and key set
	Proof   seal.Evidence `json:"-"`       // of key, counter and state, over all of the above
}

type answerFile struct {
	Format string `json:"format"`
	Answer
	Proof map[string][]byte `json:"proof"` // as seal.Evidence names its files
}

// Marshal returns the canonical form: one line of JSON.
func (a *Answer) Marshal() ([]byte, error) {
	if err := checkName(a.Name); err != nil {
		return nil, fmt.Errorf("enrolment answer: %w", err)
	}
	files := a.Proof.Files()
	if _, err := seal.EvidenceOf(files); err != nil {
		return nil, fmt.Errorf("enrolment answer: %w", err)
	}
	return marshal(answerFile{answerFormat, *a, files})
}

// ParseAnswer reads what Marshal wrote, and nothing else. [Pending.Finish]
// checks what it proves.
func ParseAnswer(data []byte) (*Answer, error) {
	const document = "enrolment answer"
	var f answerFile
	if err := parse(data, &f); err != nil {
		return nil, malformed(document, err)
	}
	if f.Format != answerFormat {
		return nil, malformed(document, fmt.Errorf("format %.80q, want %q", f.Format, answerFormat))
	}
	if err := checkName(f.Name); err != nil {
		return nil, malformed(document, err)
	}
	proof, err := seal.EvidenceOf(f.Proof)
	if err != nil {
		return nil, malformed(document, err)
	}
	f.Answer.Proof = proof
	return &f.Answer, nil
}

// answerMAC shows that the kiosk has the secret, and for which keys it used it.
func answerMAC(secret []byte, request, keys [32]byte) manifest.Hash {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("sekisho-enrol-answer-v1\x00"))
	h.Write(request[:])
	h.Write(keys[:])
	return manifest.Hash(h.Sum(nil))
}

// proofDigest is what the answer's evidence is made for.
func proofDigest(request, keys [32]byte, mac manifest.Hash) [32]byte {
	h := sha256.New()
	h.Write([]byte("sekisho-enrol-proof-v1\x00"))
	h.Write(request[:])
	h.Write(keys[:])
	h.Write(mac[:])
	return [32]byte(h.Sum(nil))
}
