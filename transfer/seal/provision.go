package seal

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// keyTemplate is the sealing key's. As a primary key it is a function of the
// endorsement seed, which TPM2_Clear leaves alone: the same key comes back.
var keyTemplate = tpm2.TPMTPublic{
	Type:    tpm2.TPMAlgECC,
	NameAlg: tpm2.TPMAlgSHA256,
	ObjectAttributes: tpm2.TPMAObject{
		FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
		UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true,
	},
	Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{Scheme: tpm2.TPMTECCScheme{
		Scheme:  tpm2.TPMAlgECDSA,
		Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
	}, CurveID: tpm2.TPMECCNistP256}),
}

// counterTemplate is the counter's. Neither the owner nor the platform may
// write it, and nobody can set it: NV_Increment is all its type allows.
var counterTemplate = tpm2.TPMSNVPublic{
	NVIndex:    counterIndex,
	NameAlg:    tpm2.TPMAlgSHA256,
	Attributes: tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthWrite: true, AuthRead: true, NoDA: true},
	DataSize:   8,
}

// CreateKey returns the TPM's sealing key, making whatever of key and counter
// is missing; both are on disk (or in the chip) then. It fails when the place
// of either is taken by something else.
func (t *TPM) CreateKey() (*Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.create(); err != nil {
		return nil, fmt.Errorf("creating sealing key: %w", err)
	}
	return t.load()
}

// Key returns the sealing key, or ErrNoKey when the TPM has none, or has not
// all of it.
func (t *TPM) Key() (*Key, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.load()
}

// create makes what is missing: key, then counter, then its first increment.
func (t *TPM) create() error {
	_, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(keyHandle)}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		err = t.createKey()
	}
	if err != nil {
		return err
	}
	index, err := t.readIndex(counterIndex)
	if errors.Is(err, tpm2.TPMRCHandle) {
		_, err = tpm2.NVDefineSpace{AuthHandle: noPassword(tpm2.TPMRHOwner), PublicInfo: tpm2.New2B(counterTemplate)}.Execute(t.link)
		if err != nil {
			return fmt.Errorf("defining counter: %w", ownerHint(err))
		}
		index, err = t.readIndex(counterIndex)
	}
	if err != nil {
		return err
	}
	// The first increment changes the Name: it comes before anyone sees it.
	if index.attributes == counterTemplate.Attributes {
		if _, err := (tpm2.NVIncrement{AuthHandle: index.auth(), NVIndex: index.handle}).Execute(t.link); err != nil {
			return fmt.Errorf("first increment: %w", err)
		}
	}
	return t.flush()
}

func (t *TPM) createKey() error {
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: noPassword(tpm2.TPMRHEndorsement), InPublic: tpm2.New2B(keyTemplate),
	}.Execute(t.link)
	if err != nil {
		return ownerHint(err)
	}
	_, err = tpm2.EvictControl{
		Auth:             noPassword(tpm2.TPMRHOwner),
		ObjectHandle:     tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name},
		PersistentHandle: keyHandle,
	}.Execute(t.link)
	return errors.Join(ownerHint(err), t.forget(made.ObjectHandle))
}

// load reads key and counter and checks that they are as CreateKey makes them.
func (t *TPM) load() (*Key, error) {
	key, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(keyHandle)}.Execute(t.link)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, ErrNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("reading sealing key: %w", err)
	}
	index, err := t.readIndex(counterIndex)
	if errors.Is(err, tpm2.TPMRCHandle) || err == nil && index.attributes == counterTemplate.Attributes {
		return nil, ErrNoKey // a creation was interrupted
	}
	if err != nil {
		return nil, fmt.Errorf("reading counter: %w", err)
	}
	k := &Key{
		tpm: t, public: key.OutPublic.Bytes(), counterPublic: index.public,
		handle: tpm2.NamedHandle{Handle: keyHandle, Name: key.Name}, counter: index,
	}
	k.id, err = parseIdentity(k.public, k.counterPublic)
	if err != nil {
		return nil, fmt.Errorf("the TPM's sealing key or counter is not ours: %w", err)
	}
	if !bytes.Equal(k.id.signer, key.QualifiedName.Buffer) {
		return nil, errors.New("the TPM's sealing key is not ours: not a primary key of the endorsement hierarchy")
	}
	return k, nil
}

// index is an NV index with its present Name.
type index struct {
	handle     tpm2.NamedHandle
	attributes tpm2.TPMANV
	size       uint16
	public     []byte // TPMS_NV_PUBLIC
}

func (i index) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: i.handle.Handle, Name: i.handle.Name, Auth: tpm2.PasswordAuth(nil)}
}

func (t *TPM) readIndex(handle tpm2.TPMHandle) (index, error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: handle}.Execute(t.link)
	if err != nil {
		return index{}, err
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return index{}, err
	}
	return index{tpm2.NamedHandle{Handle: handle, Name: rsp.NVName}, public.Attributes, public.DataSize, rsp.NVPublic.Bytes()}, nil
}

// read reads the whole index.
func (t *TPM) read(i index) ([]byte, error) {
	data := make([]byte, 0, i.size)
	for len(data) < int(i.size) {
		n := min(int(i.size)-len(data), t.nvMax)
		rsp, err := tpm2.NVRead{AuthHandle: i.auth(), NVIndex: i.handle, Size: uint16(n), Offset: uint16(len(data))}.Execute(t.link)
		if err != nil {
			return nil, err
		}
		if len(rsp.Data.Buffer) != n {
			return nil, fmt.Errorf("TPM gave %d bytes of %d", len(rsp.Data.Buffer), n)
		}
		data = append(data, rsp.Data.Buffer...)
	}
	return data, nil
}

// forget unloads a key or sequence: a TPM has room for three.
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
