// Only asked of files that begin as a program: the commands with which
// ransomware removes what could be restored. In text they are documentation.
rule RemovesShadowCopies
{
    meta:
        description = "Program that removes local backups"
    strings:
        $vssadmin = /vssadmin(\.exe)?"?\s+delete\s+shadows/ nocase ascii wide
        $vssresize = /vssadmin(\.exe)?"?\s+resize\s+shadowstorage/ nocase ascii wide
        $wmic = /shadowcopy\s+(where\s[^\n]{0,40})?delete/ nocase ascii wide
        $wbadmin = /wbadmin(\.exe)?"?\s+delete\s+(catalog|systemstatebackup|backup)/ nocase ascii wide
        $bcdedit1 = /bcdedit(\.exe)?[^\n]{0,30}recoveryenabled\s+no/ nocase ascii wide
        $bcdedit2 = /bcdedit(\.exe)?[^\n]{0,30}bootstatuspolicy\s+ignoreallfailures/ nocase ascii wide
        $powershell = "Win32_Shadowcopy" nocase ascii wide
    condition:
        2 of them
}
