package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

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

// writtenOnce is the public area of a counter as it is for ever after its first
// increment: a copy with WRITTEN set.
func writtenOnce(public []byte) []byte {
	out := bytes.Clone(public)
	if len(out) >= 10 {
		be := binary.BigEndian
		be.PutUint32(out[6:], be.Uint32(out[6:])|nvWritten)
	}
	return out
}
