# Request Tracker behind Doorward: copy this file into /etc/request-tracker5/RT_SiteConfig.d. doorward.psgi refuses to
# start without the first three settings.

# Who is signed in is what REMOTE_USER says, on every request, and there is no other way in.
Set($WebRemoteUserAuth, 1);
Set($WebRemoteUserContinuous, 1);
Set($WebFallbackToRTLogin, undef);

# Whom RT does not know yet gets an account, with the name, address and rank that Doorward tells.
Set($WebRemoteUserAutocreate, 1);

# Signing out ends Doorward's session, and RT's with it.
Set($LogoutURL, '/.doorward/sign-out');

# RT at the root of its host. Doorward's rules for RT's paths begin there.
Set($WebPath, '');

# Cookies travel over TLS only: Doorward speaks nothing else outside.
Set($WebSecureCookies, 1);

1;
