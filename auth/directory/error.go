package directory

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Errors that callers decide on. Each error of this package but ErrGone's is an *Error that is one of them.
var (
	// ErrWrong: nobody has that name, or the password is not theirs, or the account may not be used. A person is told
	// the same in each case, unless the Reason says that the password was right.
	ErrWrong = errors.New("wrong name or password")
	// ErrUnavailable: the directory cannot be asked now.
	ErrUnavailable = errors.New("directory is not available")
	// ErrConfig: the directory answers, but not to questions as they are configured. An administrator must act.
	ErrConfig = errors.New("directory is not configured rightly")
	// ErrGone: there is no such account any more, or it is disabled. Its sessions should end.
	ErrGone = errors.New("no such account in the directory")
)

// Reason says in one word why a sign-in failed. It never holds text that came from outside.
type Reason string

// The reasons. Active Directory tells Disabled, Expired, PasswordExpired, MustChange and NotNow only after a right
// password, so they may be shown to the person; Locked it tells anybody, so that one must not be.
const (
	Wrong           Reason = "wrong"
	Disabled        Reason = "disabled"             // data 533
	Expired         Reason = "account-expired"      // data 701
	PasswordExpired Reason = "password-expired"     // data 532
	MustChange      Reason = "password-must-change" // data 773
	NotNow          Reason = "not-now-or-here"      // data 530 and 531
	Locked          Reason = "locked"               // data 775
	Ambiguous       Reason = "ambiguous"            // several entries match; for the administrator
	Unavailable     Reason = "unavailable"
	Busy            Reason = "busy" // too many sign-ins at once
	Misconfigured   Reason = "misconfigured"
	Gone            Reason = "gone"
)

// Error is why a directory did not vouch for somebody. Its text is for logs.
type Error struct {
	Directory string // its name in the configuration
	Reason    Reason
	cause     error
}

// Error is the reason with its cause.
func (e *Error) Error() string {
	cause := e.cause.Error()
	return fmt.Sprintf("directory %s: %s: %.500q", e.Directory, e.Reason, cause)
}

// Unwrap is one of ErrWrong, ErrUnavailable, ErrConfig and ErrGone, and the cause.
func (e *Error) Unwrap() []error {
	kind := ErrWrong
	switch e.Reason {
	case Unavailable, Busy:
		kind = ErrUnavailable
	case Misconfigured:
		kind = ErrConfig
	case Gone:
		kind = ErrGone
	}
	if inner, ok := errors.AsType[*Error](e.cause); ok {
		return []error{kind, inner.cause} // one kind an error
	}
	return []error{kind, e.cause}
}

// fail makes the error of a step.
func (d *Directory) fail(reason Reason, format string, args ...any) error {
	return &Error{Directory: d.cfg.Name, Reason: reason, cause: fmt.Errorf(format, args...)}
}

// failed makes the error of a step that the directory refused or did not answer.
func (d *Directory) failed(step string, err error) error {
	reason := Unavailable
	if answer, ok := errors.AsType[*ldap.Error](err); ok {
		switch answer.ResultCode {
		case ldap.ErrorNetwork, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultTimeLimitExceeded,
			ldap.LDAPResultOperationsError, ldap.LDAPResultOther, ldap.ErrorUnexpectedMessage, ldap.ErrorUnexpectedResponse:
		default: // no such base, wrong service account, no right to read, filter not understood, a referral
			reason = Misconfigured
		}
	}
	return d.fail(reason, "%s: %w", step, err)
}

// wrong makes the error of a bind with a person's password that the directory refused.
func (d *Directory) wrong(err error) error {
	if answer, ok := errors.AsType[*ldap.Error](err); ok {
		switch answer.ResultCode {
		case ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultNoSuchObject,
			ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform: // the last two: locked or inactive in 389 DS
			return d.fail(reasonOf(answer.Err.Error()), "check the password: %w", err)
		}
	}
	return d.failed("check the password", err)
}

// reasonOf reads what Active Directory adds to a refusal: "80090308: LdapErr: DSID-0C09044E, comment:
// AcceptSecurityContext error, data 532, v4563".
func reasonOf(diagnostic string) Reason {
	if !strings.Contains(diagnostic, "AcceptSecurityContext") {
		return Wrong
	}
	found := regexp.MustCompile(`\bdata ([0-9a-fA-F]{1,8})\b`).FindStringSubmatch(diagnostic)
	if found == nil {
		return Wrong
	}
	switch strings.ToLower(found[1]) {
	case "530", "531":
		return NotNow
	case "532":
		return PasswordExpired
	case "533":
		return Disabled
	case "701":
		return Expired
	case "773":
		return MustChange
	case "775":
		return Locked
	}
	return Wrong
}
