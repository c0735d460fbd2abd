package transfer

import (
	"errors"
	"fmt"
	"slices"
)

// Reason is why a transfer did not go through, or went through in an unusual
// way: one of a closed list. It decides the exit code, the text a person reads
// in both languages, the ledger's entry and the receipt.
type Reason string

// Of the gate: the drive or what is on it is refused.
const (
	NoTransfer       Reason = "NoTransfer"       // nothing sealed is on the drive
	BadSeal          Reason = "BadSeal"          // the seal does not hold
	UnknownKiosk     Reason = "UnknownKiosk"     // sealed by a kiosk that is not enrolled
	WrongGate        Reason = "WrongGate"        // made for another gate's keys
	WrongDrive       Reason = "WrongDrive"       // sealed for another drive
	Replayed         Reason = "Replayed"         // an old seal that fills no open gap
	Equivocation     Reason = "Equivocation"     // a second payload at one counter value
	TooOld           Reason = "TooOld"           // sealed longer ago than the gate takes
	StaleDefinitions Reason = "StaleDefinitions" // scanned with definitions too old
	Malformed        Reason = "Malformed"        // a document is not in its one valid form
	MissingPart      Reason = "MissingPart"      // an object that the seal names is missing
	ExtraFile        Reason = "ExtraFile"        // an object that no seal names
	Altered          Reason = "Altered"          // an object differs from what was sealed
	Undecryptable    Reason = "Undecryptable"    // a part cannot be opened with the gate's key
	SoftwareTPM      Reason = "SoftwareTPM"      // sealed by a software TPM whose root the gate did not enrol
	RetiredKiosk     Reason = "RetiredKiosk"     // sealed by a kiosk that was retired
)

// Of the trust between kiosk and gate.
const (
	ComparisonFailed Reason = "ComparisonFailed" // what two people compared differs
	EnrolmentRefused Reason = "EnrolmentRefused" // an enrolment file does not prove what it should
	ApprovalRefused  Reason = "ApprovalRefused"  // an approval that IT's key did not sign, or that is for another kiosk
	RecoveryFailed   Reason = "RecoveryFailed"   // the recovery key does not open what it should
)

// Of both sides: what the engines said.
const (
	Detected    Reason = "Detected"    // an engine detected something
	Unscannable Reason = "Unscannable" // something could not be searched
)

// Of both sides: IT looks and decides, then the same drive goes on.
const (
	UnapprovedState Reason = "UnapprovedState" // the kiosk's measured state is not one that IT approved
	RolledBack      Reason = "RolledBack"      // the kiosk's TPM went back, or was cleared
	BrokenChain     Reason = "BrokenChain"     // a statement does not follow the one before it
)

// Of the kiosk: the workflow waits for IT.
const (
	TooManyLeftOut Reason = "TooManyLeftOut" // more files are not clean than may be left out
	FolderUnread   Reason = "FolderUnread"   // a folder could not be looked into: how many files it holds is not known
)

// Trouble: nothing is wrong with the data; set it right and try again.
const (
	SourceMissing  Reason = "SourceMissing"
	SourceEmpty    Reason = "SourceEmpty"
	SourceFailed   Reason = "SourceFailed"  // the source could not be read to its end
	SourceChanged  Reason = "SourceChanged" // it changed so much that preparing must begin anew
	EngineFailed   Reason = "EngineFailed"  // an engine gave no answer, which is never clean
	NothingDue     Reason = "NothingDue"    // no bag waits for a drive
	NoDrive        Reason = "NoDrive"
	DriveGone      Reason = "DriveGone"
	DriveFull      Reason = "DriveFull"
	DriveProtected Reason = "DriveProtected"
	DriveFaulty    Reason = "DriveFaulty" // it returned other bytes than were written
	WriteFailed    Reason = "WriteFailed"
	ReadFailed     Reason = "ReadFailed"
	SealFailed     Reason = "SealFailed" // the TPM did not seal
	NoTPM          Reason = "NoTPM"      // there is none, or it is switched off
	TPMBusy        Reason = "TPMBusy"    // another program has it, or it does not answer
	TPMLocked      Reason = "TPMLocked"  // too many wrong PINs: it waits before it takes another
	NotEnrolled    Reason = "NotEnrolled"
	NoSpace        Reason = "NoSpace" // spool, outbox, staging or vault is full
	BagDamaged     Reason = "BagDamaged"
	VaultDamaged   Reason = "VaultDamaged" // a generation is not as it was accepted
	Busy           Reason = "Busy"         // another process owns the state
	Stopped        Reason = "Stopped"      // by a person or the system, before the end
	Failed         Reason = "Failed"       // anything else
)

// Notices: it went through.
const (
	LeftOut         Reason = "LeftOut"         // sealed without some files
	AlreadyAccepted Reason = "AlreadyAccepted" // the vault has it
)

// Reasons lists every reason once.
var Reasons = slices.Concat(refusals, held, troubles, notices)

var (
	refusals = []Reason{NoTransfer, BadSeal, UnknownKiosk, WrongGate, WrongDrive, Replayed, Equivocation, TooOld,
		StaleDefinitions, Malformed, MissingPart, ExtraFile, Altered, Undecryptable, Detected, Unscannable, SoftwareTPM, RetiredKiosk,
		ComparisonFailed, EnrolmentRefused, ApprovalRefused, RecoveryFailed}
	held     = []Reason{UnapprovedState, RolledBack, BrokenChain, TooManyLeftOut, FolderUnread}
	troubles = []Reason{SourceMissing, SourceEmpty, SourceFailed, SourceChanged, EngineFailed, NothingDue, NoDrive,
		DriveGone, DriveFull, DriveProtected, DriveFaulty, WriteFailed, ReadFailed, SealFailed, NoTPM, TPMBusy, TPMLocked, NotEnrolled, NoSpace, BagDamaged, VaultDamaged, Busy, Stopped, Failed}
	notices = []Reason{LeftOut, AlreadyAccepted}
)

// Trouble says whether trying again can help without anyone deciding anything.
func (r Reason) Trouble() bool { return slices.Contains(troubles, r) }

// Held says whether the transfer waits for IT and may go through unchanged once
// IT has decided.
func (r Reason) Held() bool { return slices.Contains(held, r) }

// Refusal ends a flow: which reason, where, and in detail what. Its text is for
// logs; people read the catalogue's text for the reason beside it.
type Refusal struct {
	Reason Reason
	Where  string // the drive, transfer, object or folder; "" when the reason says it all
	Err    error  // what was found; may be nil
}

func (r *Refusal) Error() string {
	s := string(r.Reason)
	if r.Where != "" {
		s += ": " + r.Where
	}
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

func (r *Refusal) Unwrap() error { return r.Err }

func refuse(reason Reason, where string, err error) *Refusal {
	return &Refusal{Reason: reason, Where: where, Err: err}
}

func refusef(reason Reason, where, format string, args ...any) *Refusal {
	return refuse(reason, where, fmt.Errorf(format, args...))
}

// AsRefusal returns the refusal in err, or makes one of the reason otherwise.
func AsRefusal(err error, otherwise Reason) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return refuse(otherwise, "", err)
}
