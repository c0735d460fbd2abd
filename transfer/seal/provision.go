package seal

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// keyTemplate is the sealing key's. As a primary key it is a function of the
// endorsement seed, which TPM2_Clear leaves alone: the same key comes back.
func keyTemplate(policy []byte) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			// Without it the policy alone lets the key be used. As adminWithPolicy
			// is not set either, a credential may still be activated unapproved.
			UserWithAuth: len(policy) == 0,
			NoDA:         true, Restricted: true, SignEncrypt: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{Scheme: tpm2.TPMTECCScheme{
			Scheme:  tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
		}, CurveID: tpm2.TPMECCNistP256}),
	}
}

// counterTemplate is the counter's. Neither the owner nor the platform may
// write it, and nobody can set it: NV_Increment is all its type allows.
func counterTemplate(policy []byte) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: counterIndex,
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthWrite: len(policy) == 0, PolicyWrite: len(policy) > 0,
			AuthRead: true, NoDA: true},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		DataSize:   8,
	}
}

// CreateKey returns the TPM's sealing key in this form, making whatever of key
// and counter is missing; both are on disk (or in the chip) then. A key and a
// counter of ours in another form are replaced: that kiosk is to be enrolled
// anew. It fails when the place of either is taken by something else.
//
// In the bound form the counter is not incremented yet: [Key.Provision] does so.
func (t *TPM) CreateKey(f Form) (k *Key, err error) {
	err = t.operate("creating sealing key", func() error {
		policy := f.policy()
		if err := t.placeKey(policy); err != nil {
			return err
		}
		if err := t.placeCounter(policy); err != nil {
			return err
		}
		if k, err = t.load(f); err != nil {
			return err
		}
		// The first increment changes the Name: it comes before anyone sees it.
		if f.Approvals == nil && !k.counter.attributes.Written {
			if err := k.increment(); err != nil {
				return err
			}
		}
		return t.flush()
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Key returns the sealing key, or ErrNoKey when the TPM has none of this form,
// or has not all of it.
func (t *TPM) Key(f Form) (k *Key, err error) {
	err = t.operate("loading sealing key", func() error {
		k, err = t.load(f)
		if err == nil && f.Approvals == nil && !k.counter.attributes.Written {
			err = ErrNoKey // a creation was interrupted
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// placeKey makes the key, unless something is in its place. Whether that is ours
// shows when it is loaded.
func (t *TPM) placeKey(policy []byte) error {
	present, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(keyHandle)}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return t.makeKey(policy)
	}
	if err != nil {
		return err
	}
	public := present.OutPublic.Bytes()
	other := policyOf(public, 8)
	if _, err := parseKey(public, other); err != nil || bytes.Equal(other, policy) {
		return nil
	}
	if err := t.persist(tpm2.NamedHandle{Handle: keyHandle, Name: present.Name}); err != nil { // which removes it
		return err
	}
	return t.makeKey(policy)
}

func (t *TPM) makeKey(policy []byte) error {
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: noPassword(tpm2.TPMRHEndorsement), InPublic: tpm2.New2B(keyTemplate(policy)),
	}.Execute(t.link)
	if err != nil {
		return ownerHint(err)
	}
	err = t.persist(tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name})
	return errors.Join(err, t.forget(made.ObjectHandle))
}

// persist keeps a loaded key at the sealing key's handle; given the key that is
// there, it removes it.
func (t *TPM) persist(key tpm2.NamedHandle) error {
	_, err := tpm2.EvictControl{Auth: noPassword(tpm2.TPMRHOwner), ObjectHandle: key, PersistentHandle: keyHandle}.Execute(t.link)
	return ownerHint(err)
}

// placeCounter is for the counter what placeKey is for the key. A new counter
// begins above every counter that this TPM ever had.
func (t *TPM) placeCounter(policy []byte) error {
	present, err := t.readIndex(counterIndex)
	if err == nil {
		other := policyOf(present.public, 10)
		if checkCounter(writtenOnce(present.public), other) != nil || bytes.Equal(other, policy) {
			return nil
		}
		_, err = tpm2.NVUndefineSpace{AuthHandle: noPassword(tpm2.TPMRHOwner), NVIndex: present.handle}.Execute(t.link)
		if err != nil {
			return fmt.Errorf("removing the other form's counter: %w", ownerHint(err))
		}
	} else if !errors.Is(err, tpm2.TPMRCHandle) {
		return err
	}
	_, err = tpm2.NVDefineSpace{AuthHandle: noPassword(tpm2.TPMRHOwner), PublicInfo: tpm2.New2B(counterTemplate(policy))}.Execute(t.link)
	if err != nil {
		return fmt.Errorf("defining counter: %w", ownerHint(err))
	}
	return nil
}

// load reads key and counter and checks that they are as CreateKey makes them.
func (t *TPM) load(f Form) (*Key, error) {
	key, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(keyHandle)}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	index, err := t.readIndex(counterIndex)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, ErrNoKey // a creation was interrupted
	}
	if err != nil {
		return nil, fmt.Errorf("reading counter: %w", err)
	}
	k := &Key{
		tpm: t, form: f, public: key.OutPublic.Bytes(), counterPublic: writtenOnce(index.public),
		handle: tpm2.NamedHandle{Handle: keyHandle, Name: key.Name}, counter: index,
	}
	k.id, err = parseIdentity(k.public, k.counterPublic, f.policy())
	if err != nil {
		if otherForm(k.public, k.counterPublic) {
			return nil, fmt.Errorf("%w of the form that is configured: %w", ErrNoKey, err)
		}
		return nil, fmt.Errorf("the TPM's sealing key or counter is not ours: %w", err)
	}
	if !bytes.Equal(k.id.signer, key.QualifiedName.Buffer) {
		return nil, errors.New("the TPM's sealing key is not ours: not a primary key of the endorsement hierarchy")
	}
	return k, nil
}

// otherForm: both are ours, be it each in a form of its own.
func otherForm(keyPublic, counterPublic []byte) bool {
	_, err := parseKey(keyPublic, policyOf(keyPublic, 8))
	return err == nil && checkCounter(counterPublic, policyOf(counterPublic, 10)) == nil
}

// forget unloads a key, a sequence or a session: a TPM has room for three of each.
func (t *TPM) forget(h tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: h}.Execute(t.link)
	return err
}

// flush makes a software TPM's changes last; a chip's do.
func (t *TPM) flush() error {
	if t.child == nil {
		return nil
	}
	return t.child.flush()
}

func noPassword(h tpm2.TPMHandle) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: h, Auth: tpm2.PasswordAuth(nil)}
}

// ownerHint says what to do about hierarchies that someone took.
func ownerHint(err error) error {
	if errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail) {
		return fmt.Errorf("the TPM has an owner's or endorsement password; remove it, or clear the TPM in the firmware: %w", err)
	}
	return err
}
