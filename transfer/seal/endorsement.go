package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Where TPMs keep the certificates of endorsement keys: RSA 2048 (template L-1)
// and P-256 (L-2).
// TCG EK Credential Profile for TPM Family 2.0, 2.2.1.4 and 2.2.1.5.
const (
	certificateRSA tpm2.TPMHandle = 0x01C00002
	certificateECC tpm2.TPMHandle = 0x01C0000A
)

// Endorsement is a TPM's endorsement key, which can decrypt and not sign, and
// its maker's certificate of it.
type Endorsement struct {
	Public      []byte // TPMT_PUBLIC
	Certificate []byte // DER; nil when the TPM carries none for this key
}

// Endorsement returns the endorsement key that the TPM has a certificate of, RSA
// before P-256; the P-256 one, which is quickly made, when it has neither. A
// chip may search for primes for a minute. When ctx is done before, the TPM has
// to be opened again.
func (t *TPM) Endorsement(ctx context.Context) (e Endorsement, err error) {
	err = t.operateUntil(ctx, "making the endorsement key", func() error {
		template := tpm2.RSAEKTemplate
		if e.Certificate = t.certificate(certificateRSA); e.Certificate == nil {
			template, e.Certificate = tpm2.ECCEKTemplate, t.certificate(certificateECC)
		}
		made, err := t.endorsementKey(template)
		if err != nil {
			return err
		}
		e.Public = made.OutPublic.Bytes()
		return t.forget(made.ObjectHandle)
	})
	if err != nil {
		return Endorsement{}, err
	}
	return e, nil
}

// endorsementKey makes the key anew: like the sealing key it is a function of
// the seed. It is the caller's to forget.
func (t *TPM) endorsementKey(template tpm2.TPMTPublic) (*tpm2.CreatePrimaryResponse, error) {
	made, err := tpm2.CreatePrimary{PrimaryHandle: noPassword(tpm2.TPMRHEndorsement), InPublic: tpm2.New2B(template)}.Execute(t.link)
	return made, ownerHint(err)
}

// Activate decrypts a credential that was made for this key and this TPM's
// endorsement key; any other fails with ErrBadRequest. It needs no
// authorization. When ctx is done before, the TPM has to be opened again.
func (k *Key) Activate(ctx context.Context, c Credential) (secret []byte, err error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("activating credential: %w: %w", ErrBadRequest, err)
	}
	err = k.tpm.operateUntil(ctx, "activating credential", func() error {
		template := tpm2.ECCEKTemplate
		if len(c.Secret) == rsaSize {
			template = tpm2.RSAEKTemplate
		}
		made, err := k.tpm.endorsementKey(template)
		if err != nil {
			return err
		}
		rsp, err := tpm2.ActivateCredential{
			ActivateHandle: tpm2.AuthHandle{Handle: k.handle.Handle, Name: k.handle.Name, Auth: tpm2.PasswordAuth(nil)},
			KeyHandle:      tpm2.AuthHandle{Handle: made.ObjectHandle, Name: made.Name, Auth: k.tpm.endorsementSession()},
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: c.Blob}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: c.Secret},
		}.Execute(k.tpm.link)
		if refusal := tpm2.TPMRC(0); errors.As(err, &refusal) && k.tpm.link.failed == nil && !refusal.IsWarning() {
			err = fmt.Errorf("%w: it was made for another TPM or key: %w", ErrBadRequest, err)
		}
		if err = errors.Join(err, k.tpm.forget(made.ObjectHandle)); err != nil {
			return err
		}
		secret = rsp.CertInfo.Buffer
		return nil
	})
	if err != nil {
		return nil, err
	}
	return secret, nil
}

// endorsementSession is the policy of every endorsement key: the password of the
// endorsement hierarchy, which is empty.
func (t *TPM) endorsementSession() tpm2.Session {
	return tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(_ transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
		_, err := tpm2.PolicySecret{AuthHandle: noPassword(tpm2.TPMRHEndorsement), PolicySession: session, NonceTPM: nonce}.Execute(t.link)
		if err != nil { // go-tpm leaves the session of a callback that failed
			return errors.Join(ownerHint(err), t.forget(session))
		}
		return nil
	})
}

// certificate returns a certificate, or nil when the TPM has none there or does
// not give it out.
func (t *TPM) certificate(handle tpm2.TPMHandle) []byte {
	i, err := t.readIndex(handle)
	if err != nil || i.size > maxCertificate {
		return nil
	}
	data, err := t.read(i)
	if err != nil {
		return nil
	}
	n, err := derLen(data)
	if err != nil {
		return nil
	}
	return bytes.Clone(data[:n]) // some makers pad with 0xFF
}
