package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-tpm/tpm2"
)

// maxTicket bounds a file with a ticket, in bytes; one has 40 of SHA-256.
const maxTicket = 128

// A ticket says, in a MAC of the TPM's own, that it once checked a signature
// itself. It is no secret and of use to nobody else. It survives a restart of
// the TPM and ends with TPM2_Clear.

// ticketPath is where the ticket for an approved state is kept; "" nowhere.
func (f Form) ticketPath(a *approved) string {
	if f.Tickets == "" {
		return ""
	}
	return filepath.Join(f.Tickets, hex.EncodeToString(sum256(nameOf(externalPublic(f.Approvals)), a.policy))+".ticket")
}

// readTicket returns nil when there is none that could be used: that costs a
// signature check. Whether it holds, the TPM says.
func (f Form) readTicket(a *approved) *tpm2.TPMTTKVerified {
	path := f.ticketPath(a)
	if path == "" {
		return nil
	}
	data, err := readPrivate(path)
	if err != nil {
		return nil
	}
	ticket, err := parseTicket(data)
	if err != nil {
		return nil
	}
	return ticket
}

// writeTicket keeps the ticket, if it can: its loss costs a signature check, so
// no seal fails for it.
func (f Form) writeTicket(a *approved) {
	path := f.ticketPath(a)
	if path == "" {
		return
	}
	if os.MkdirAll(f.Tickets, 0o700) != nil || errors.Is(os.Remove(path), os.ErrPermission) {
		return
	}
	_ = writeNew(path, tpm2.Marshal(*a.ticket))
}

// parseTicket reads a TPMT_TK_VERIFIED of the owner's hierarchy.
func parseTicket(data []byte) (*tpm2.TPMTTKVerified, error) {
	if len(data) > maxTicket {
		return nil, fmt.Errorf("ticket of %d bytes", len(data))
	}
	ticket, err := tpm2.Unmarshal[tpm2.TPMTTKVerified](data)
	if err != nil {
		return nil, err
	}
	if ticket.Tag != tpm2.TPMSTVerified || ticket.Hierarchy != tpm2.TPMRHOwner || !bytes.Equal(tpm2.Marshal(*ticket), data) {
		return nil, errors.New("not a ticket of the owner's hierarchy")
	}
	return ticket, nil
}
