package measure

import "fmt"

// SoftwareRegister is the register of Sekisho's own software where the
// configuration names no other.
const SoftwareRegister = 13

// Class says coarsely what a register stands for.
type Class int

// The classes, in the order in which a machine starts.
const (
	Firmware   Class = iota // the mainboard's and the cards' firmware, and its settings
	SecureBoot              // whether signatures are checked, and whose
	System                  // boot loader, partition table, kernel, its command line
	Software                // Sekisho itself
)

// ClassOf says what a change of register means, where software is the register
// of Sekisho's own files.
func ClassOf(register, software int) Class {
	switch register {
	case software:
		return Software
	case 0, 1, 2, 3, 6:
		return Firmware
	case 7, 14:
		return SecureBoot
	}
	return System
}

// String names the class in a sentence: "… has changed".
func (c Class) String() string {
	return [...]string{"the firmware", "Secure Boot", "the system", "Sekisho itself"}[c]
}

// Ja is String in Japanese.
func (c Class) Ja() string {
	return [...]string{"ファームウェア", "セキュアブート", "システム", "Sekisho本体"}[c]
}

var registerNames = map[int][2]string{
	0:  {"firmware", "ファームウェア"},
	1:  {"firmware settings and hardware", "ファームウェアの設定とハードウェア構成"},
	2:  {"firmware of add-on cards", "拡張カードのファームウェア"},
	3:  {"settings of add-on cards", "拡張カードの設定"},
	4:  {"boot loader", "ブートローダー"},
	5:  {"partition table and boot loader settings", "パーティション表とブートローダーの設定"},
	6:  {"maker's own, and wake from sleep", "製造元固有の情報とスリープからの復帰"},
	7:  {"Secure Boot", "セキュアブート"},
	8:  {"boot loader commands and kernel command line (GRUB)", "ブートローダーのコマンドとカーネルの起動引数（GRUB）"},
	9:  {"kernel and initrd (GRUB)", "カーネルとinitrd（GRUB）"},
	10: {"every file that the kernel measures (IMA)", "カーネルが計測する各ファイル（IMA）"},
	11: {"unified kernel image", "統合カーネルイメージ"},
	12: {"kernel command line and credentials", "カーネルの起動引数と資格情報"},
	13: {"Sekisho's own software", "Sekisho本体のソフトウェア"},
	14: {"the owner's own Secure Boot keys (MOK)", "セキュアブートの追加の鍵（MOK）"},
	15: {"disk and machine identity", "ディスクと機器の識別情報"},
}

// RegisterName says in plain English what a register of the TPM stands for. A
// caller whose software register is not [SoftwareRegister] asks [ClassOf] first.
func RegisterName(register int) string {
	if name, ok := registerNames[register]; ok {
		return name[0]
	}
	return fmt.Sprintf("register %d", register)
}

// RegisterNameJa is RegisterName in Japanese.
func RegisterNameJa(register int) string {
	if name, ok := registerNames[register]; ok {
		return name[1]
	}
	return fmt.Sprintf("レジスタ%d", register)
}
