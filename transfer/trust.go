package transfer

import (
	"errors"
	"path"
	"strings"

	"sekisho/transfer/drive"
	"sekisho/transfer/manifest"
)

// Kind is what a file of trust is for: enrolment's four steps, a kiosk's state,
// an approval. Each lies on the drive under the name of its kiosk.
type Kind string

// Kinds of files.
const (
	RequestFile   Kind = "request"
	ChallengeFile Kind = "challenge"
	AnswerFile    Kind = "answer"
	StateFile     Kind = "state"
	ApprovalFile  Kind = "approval"
)

const (
	maxTrustFiles = 1000
	maxTrustFile  = 128 << 10 // bytes
	trustSuffix   = ".json"
)

// TrustPath is where a file of trust lies on a drive; a kiosk has several
// approvals, told apart by their ids.
func TrustPath(kind Kind, kiosk, id string) string {
	name := kiosk
	if id != "" {
		name += "." + id
	}
	return path.Join(manifest.Trust, name+"."+string(kind)+trustSuffix)
}

// PutTrust writes a file of trust; it is on the medium when the call returns. The
// error is a *Refusal.
func PutTrust(d *drive.Drive, kind Kind, kiosk, id string, data []byte) error {
	name := TrustPath(kind, kiosk, id)
	if err := d.Mkdir(manifest.Trust); err != nil {
		return AsRefusal(explainDrive(err), WriteFailed)
	}
	if err := d.Put(name, data); err != nil {
		return AsRefusal(explainDrive(err), WriteFailed)
	}
	return nil
}

// TrustName is whose a file of trust is, and its id where it has one.
type TrustName struct{ Kiosk, ID string }

// TrustNames lists the files of one kind on the drive; none is no error. The error
// is a *Refusal and about the folder or the whole drive.
func TrustNames(d *drive.Drive, kind Kind) ([]TrustName, error) {
	names, err := d.List(manifest.Trust, maxTrustFiles)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, AsRefusal(explainDrive(err), ReadFailed)
	}
	var all []TrustName
	for _, n := range names {
		stem, ok := strings.CutSuffix(n.Name, "."+string(kind)+trustSuffix)
		if !ok || !n.File {
			continue
		}
		kiosk, id, _ := strings.Cut(stem, ".")
		if manifest.ValidName(kiosk) && (id == "" || kind == ApprovalFile) {
			all = append(all, TrustName{kiosk, id})
		}
	}
	return all, nil
}

// TrustFiles reads the drive's files of one kind for a kiosk, bounded and
// unjudged: their parsers and signatures judge them. A file that is too large or
// cannot be read is empty here, which every parser refuses: it must not keep its
// reader from the rest of the drive. Errors are as those of TrustNames.
func TrustFiles(d *drive.Drive, kind Kind, kiosk string) ([][]byte, error) {
	names, err := TrustNames(d, kind)
	if err != nil {
		return nil, err
	}
	var files [][]byte
	for _, n := range names {
		if n.Kiosk != kiosk {
			continue
		}
		data, err := d.ReadFile(TrustPath(kind, n.Kiosk, n.ID), maxTrustFile)
		if errors.Is(err, drive.ErrGone) {
			return nil, AsRefusal(explainDrive(err), ReadFailed)
		}
		files = append(files, data) // nil after an error
	}
	return files, nil
}

// RemoveTrust deletes a file of trust that has done its work.
func RemoveTrust(d *drive.Drive, kind Kind, kiosk, id string) error {
	if err := d.Remove(TrustPath(kind, kiosk, id)); err != nil {
		return AsRefusal(explainDrive(err), WriteFailed)
	}
	return nil
}
