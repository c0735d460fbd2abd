package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"

	"github.com/google/go-tpm/tpm2"
)

// scheme is the key's own; Quote wants it spelt out.
var scheme = tpm2.TPMTSigScheme{
	Scheme:  tpm2.TPMAlgECDSA,
	Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256}),
}

func (k *Key) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.handle.Handle, Name: k.handle.Name, Auth: tpm2.PasswordAuth(nil)}
}

// sign returns a DER signature over message. A restricted key signs only what
// the TPM hashed itself and saw not to look like its own attestations; the
// ticket says so.
func (k *Key) sign(message []byte) ([]byte, error) {
	digest, ticket, err := k.tpm.hash(message)
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Sign{KeyHandle: k.auth(), Digest: digest, InScheme: scheme, Validation: ticket}.Execute(k.tpm.link)
	if err != nil {
		return nil, err
	}
	sig, err := signatureOf(rsp.Signature)
	if err != nil {
		return nil, err
	}
	return signatureDER(sig)
}

// hash has the TPM hash message in pieces that fit its buffer.
func (t *TPM) hash(message []byte) (digest tpm2.TPM2BDigest, ticket tpm2.TPMTTKHashCheck, err error) {
	started, err := tpm2.HashSequenceStart{HashAlg: tpm2.TPMAlgSHA256}.Execute(t.link)
	if err != nil {
		return digest, ticket, err
	}
	sequence := noPassword(started.SequenceHandle)
	for len(message) > t.inputMax && err == nil {
		_, err = tpm2.SequenceUpdate{SequenceHandle: sequence, Buffer: tpm2.TPM2BMaxBuffer{Buffer: message[:t.inputMax]}}.Execute(t.link)
		message = message[t.inputMax:]
	}
	var done *tpm2.SequenceCompleteResponse
	if err == nil {
		done, err = tpm2.SequenceComplete{
			SequenceHandle: sequence, Buffer: tpm2.TPM2BMaxBuffer{Buffer: message}, Hierarchy: tpm2.TPMRHEndorsement,
		}.Execute(t.link)
	}
	if err != nil { // only a completed sequence goes by itself
		return digest, ticket, errors.Join(err, t.forget(started.SequenceHandle))
	}
	return done.Result, done.Validation, nil
}

// attest certifies the counter for digest, and quotes the PCRs for both.
func (k *Key) attest(digest [32]byte) (Evidence, error) {
	var e Evidence
	certified, err := tpm2.NVCertify{
		SignHandle: k.auth(), AuthHandle: k.counter.auth(), NVIndex: k.counter.handle,
		QualifyingData: tpm2.TPM2BData{Buffer: digest[:]}, InScheme: scheme, Size: 8,
	}.Execute(k.tpm.link)
	if err != nil {
		return Evidence{}, fmt.Errorf("certifying counter: %w", err)
	}
	e.Counter = certified.CertifyInfo.Bytes()
	if e.CounterSig, err = signatureOf(certified.Signature); err != nil {
		return Evidence{}, fmt.Errorf("certifying counter: %w", err)
	}
	if err := k.quote(&e, quoteNonce(digest, e.Counter)); err != nil {
		return Evidence{}, fmt.Errorf("quoting PCRs: %w", err)
	}
	return e, nil
}

// quote fills in the quote. PCRs may be extended between reading and quoting;
// then it reads again.
func (k *Key) quote(e *Evidence, nonce [32]byte) error {
	for range 5 {
		values, err := k.tpm.pcrs()
		if err != nil {
			return err
		}
		rsp, err := tpm2.Quote{
			SignHandle: k.auth(), QualifyingData: tpm2.TPM2BData{Buffer: nonce[:]}, InScheme: scheme,
			PCRSelect: selection(quotedBits),
		}.Execute(k.tpm.link)
		if err != nil {
			return err
		}
		e.Quote = rsp.Quoted.Bytes()
		if e.QuoteSig, err = signatureOf(rsp.Signature); err != nil {
			return err
		}
		a, err := parseAttestation(e.Quote)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(values)
		if q, ok := a.quote(); ok && bytes.Equal(q.digest, sum[:]) {
			e.PCRs = marshalPCRs(values)
			return nil
		}
	}
	return errors.New("the values change faster than they can be read")
}

// pcrs reads the quoted PCRs byte by byte of their selection, as a TPM gives
// at most eight values at a time.
func (t *TPM) pcrs() ([]byte, error) {
	values := make([]byte, 0, 32*len(quotedPCRs))
	for i, b := range quotedBits {
		if b == 0 {
			continue
		}
		part := make([]byte, len(quotedBits))
		part[i] = b
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selection(part)}.Execute(t.link)
		if err != nil {
			return nil, err
		}
		if len(rsp.PCRValues.Digests) != bits.OnesCount8(b) {
			return nil, errors.New("the TPM has not all of them in a SHA-256 bank")
		}
		for _, d := range rsp.PCRValues.Digests {
			if len(d.Buffer) != 32 {
				return nil, fmt.Errorf("the TPM gave a PCR value of %d bytes", len(d.Buffer))
			}
			values = append(values, d.Buffer...)
		}
	}
	return values, nil
}

func selection(pcrs []byte) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: pcrs}}}
}

func signatureOf(sig tpm2.TPMTSignature) ([]byte, error) {
	ecdsa, err := sig.Signature.ECDSA()
	if err != nil {
		return nil, err
	}
	return marshalSignature(ecdsa.SignatureR.Buffer, ecdsa.SignatureS.Buffer)
}
