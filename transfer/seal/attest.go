package seal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// scheme is the key's own; Quote wants it spelt out.
var scheme = tpm2.TPMTSigScheme{
	Scheme:  tpm2.TPMAlgECDSA,
	Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256}),
}

// sign returns a DER signature over message. A restricted key signs only what
// the TPM hashed itself and saw not to look like its own attestations; the
// ticket says so.
func (k *Key) sign(message []byte) ([]byte, error) {
	digest, ticket, err := k.tpm.hash(message)
	if err != nil {
		return nil, err
	}
	rsp, err := authorize(k, k.handle, func(auth tpm2.AuthHandle) (*tpm2.SignResponse, error) {
		return tpm2.Sign{KeyHandle: auth, Digest: digest, InScheme: scheme, Validation: ticket}.Execute(k.tpm.link)
	})
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

// attest makes evidence for digest. What it returns has been verified: a chip
// that errs is better found out here than at the gate.
func (k *Key) attest(digest [32]byte) (Evidence, error) {
	if !k.counter.attributes.Written {
		return Evidence{}, errNotProvisioned
	}
	e, err := k.evidence(digest)
	if err != nil {
		return Evidence{}, err
	}
	if _, err := k.id.check(digest, e); err != nil {
		return Evidence{}, fmt.Errorf("the TPM attested something else: %w", err)
	}
	return e, nil
}

// evidence certifies the counter for digest, quotes the PCRs for both, and says
// what explains them.
func (k *Key) evidence(digest [32]byte) (Evidence, error) {
	var e Evidence
	certified, err := authorize(k, k.handle, func(auth tpm2.AuthHandle) (*tpm2.NVCertifyResponse, error) {
		return tpm2.NVCertify{
			SignHandle: auth, AuthHandle: k.counter.auth(), NVIndex: k.counter.handle,
			QualifyingData: tpm2.TPM2BData{Buffer: digest[:]}, InScheme: scheme, Size: 8,
		}.Execute(k.tpm.link)
	})
	if err != nil {
		return Evidence{}, fmt.Errorf("certifying counter: %w", err)
	}
	e.Counter = certified.CertifyInfo.Bytes()
	if e.CounterSig, err = signatureOf(certified.Signature); err != nil {
		return Evidence{}, fmt.Errorf("certifying counter: %w", err)
	}
	if err := k.quote(&e, digest); err != nil {
		return Evidence{}, fmt.Errorf("quoting PCRs: %w", err)
	}
	return e, nil
}

// quote adds events and quote to the certified counter. PCRs may be extended
// between reading and quoting; then it reads again.
func (k *Key) quote(e *Evidence, digest [32]byte) error {
	for pause := firstPause; pause < lastPause; pause *= 2 {
		values, err := k.tpm.pcrs()
		if err != nil {
			return err
		}
		if e.Events, err = k.tpm.explains(byRegister(values)); err != nil {
			return err
		}
		nonce := quoteNonce(digest, e.Counter, e.Events)
		rsp, err := authorize(k, k.handle, func(auth tpm2.AuthHandle) (*tpm2.QuoteResponse, error) {
			return tpm2.Quote{
				SignHandle: auth, QualifyingData: tpm2.TPM2BData{Buffer: nonce[:]}, InScheme: scheme,
				PCRSelect: selection(quotedBits),
			}.Execute(k.tpm.link)
		})
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
		time.Sleep(pause)
	}
	return errUnsteady
}

var errUnsteady = errors.New("the PCRs change faster than they can be read")

// pcrs reads the quoted PCRs, all of the same moment.
func (t *TPM) pcrs() ([]byte, error) {
	for pause := firstPause; pause < lastPause; pause *= 2 {
		values, steady, err := t.readPCRs()
		if err != nil {
			return nil, fmt.Errorf("reading PCRs: %w", err)
		}
		if steady {
			return values, nil
		}
		time.Sleep(pause)
	}
	return nil, errUnsteady
}

// readPCRs reads byte by byte of the selection, as a TPM gives at most eight
// values at a time. They are steady if none changed meanwhile.
func (t *TPM) readPCRs() (values []byte, steady bool, err error) {
	updates := make(map[uint32]bool)
	for i, b := range quotedBits {
		if b == 0 {
			continue
		}
		part := make([]byte, len(quotedBits))
		part[i] = b
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selection(part)}.Execute(t.link)
		if err != nil {
			return nil, false, err
		}
		if len(rsp.PCRValues.Digests) != bits.OnesCount8(b) {
			return nil, false, errors.New("the TPM has not all of them in a SHA-256 bank")
		}
		for _, d := range rsp.PCRValues.Digests {
			if len(d.Buffer) != 32 {
				return nil, false, fmt.Errorf("the TPM gave a value of %d bytes", len(d.Buffer))
			}
			values = append(values, d.Buffer...)
		}
		updates[rsp.PCRUpdateCounter] = true
	}
	return values, len(updates) == 1, nil
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
