# Request Tracker 5 behind Doorward: a PSGI application for plackup. docs/request-tracker.md says how it is started.
#
# RT believes the environment variable REMOTE_USER and nothing else. This file sets it, from the header
# X-Doorward-User, and only for requests that carry Doorward's shared secret; everything else is refused before RT
# sees it.
use strict;
use warnings;

package Doorward;

use Digest::SHA qw(sha256);
use Encode ();

my $rt_server   = $ENV{DOORWARD_RT_SERVER}   || '/usr/share/request-tracker5/libexec/rt-server';
my $secret_file = $ENV{DOORWARD_SECRET_FILE} || '/etc/request-tracker5/doorward.secret';

# The digests of the secrets that are accepted, one a line of the file: the one that Doorward sends and, while they are
# being changed, the one before or after it. The file is read again when it changes, so a rotation needs no restart.
my ( $seen, @accepted ) = ('');

sub accepted {
    my @stat = stat $secret_file or die "doorward.psgi: read $secret_file: $!\n";
    my $now = join ':', @stat[ 1, 7, 9 ];
    return @accepted if $now eq $seen;
    open my $file, '<', $secret_file or die "doorward.psgi: read $secret_file: $!\n";
    my @secrets = grep { length } map { s/\A\s+|\s+\z//gr } <$file>;
    close $file;
    die "doorward.psgi: $secret_file holds " . @secrets . " secrets; one or two are allowed\n"
        if @secrets < 1 || @secrets > 2;
    die "doorward.psgi: $secret_file: a secret needs at least 32 characters\n" if grep { length($_) < 32 } @secrets;
    ( $seen, @accepted ) = ( $now, map { sha256($_) } @secrets );
    return @accepted;
}

# Every accepted secret is compared, and every byte of it: how long that takes tells nothing.
sub from_doorward {
    my $sent = sha256( shift // '' );
    my $right = 0;
    $right |= ( ( $sent ^ $_ ) !~ tr/\0//c ) ? 1 : 0 for accepted();
    return $right;
}

sub answer {
    my ( $status, $why ) = @_;
    my $text = "$status $why\n";
    return [ $status, [ 'Content-Type' => 'text/plain; charset=utf-8', 'Content-Length' => length $text ], [$text] ];
}

# One of Doorward's headers as text: what is not plain ASCII arrives percent-encoded.
sub header {
    my ( $env, $name ) = @_;
    my $value = $env->{"HTTP_X_DOORWARD_$name"} // '';
    $value =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return eval { Encode::decode( 'UTF-8', $value, Encode::FB_CROAK ) } // '';
}

# The person's name for RT, or why RT must not have it. RT takes a name of digits for the number of an account,
# and its own accounts can do everything.
sub person {
    my ($env) = @_;
    my $name  = header( $env, 'USER' );
    my %roles = map { lc $_ => 1 } split /[\s,]+/, header( $env, 'ROLES' );
    return ( undef, 'Doorward sent no name.' ) if $name eq '';
    return ( undef, 'A name of digits only cannot be used here: Request Tracker would take it for an account number.' )
        if $name !~ /\D/;
    return ( undef, 'This name belongs to an account of Request Tracker itself.' )
        if lc $name eq 'rt_system' || lc $name eq 'nobody';
    return ( undef, 'Only an owner or an administrator can be root in Request Tracker.' )
        if lc $name eq 'root' && !$roles{owner} && !$roles{admin};
    return ( $name, undef );
}

my $rt = do $rt_server or die "doorward.psgi: start $rt_server: " . ( $@ || $! ) . "\n";

# With other settings RT would offer its own login, or keep a session after Doorward's has ended.
die "doorward.psgi: RT must be set to trust REMOTE_USER alone; copy 60-doorward.pm into its RT_SiteConfig.d\n"
    unless RT->Config->Get('WebRemoteUserAuth')
    && RT->Config->Get('WebRemoteUserContinuous')
    && !RT->Config->Get('WebFallbackToRTLogin');
die "doorward.psgi: RT lies below " . RT->Config->Get('WebPath') . ", where Doorward's rules for its pages would miss them; "
    . "set WebPath to '' (60-doorward.pm does)\n"
    if length( RT->Config->Get('WebPath') // '' );
accepted();

no warnings 'redefine';

# What a new person's account is made with: privileged, which is what RT calls its staff, if Doorward knows them as staff.
sub about {
    my ($env) = @_;
    my %about = ( Privileged => header( $env, 'ROLES' ) =~ /\b(?:owner|admin|agent)\b/i ? 1 : 0 );
    for ( [ EmailAddress => 'EMAIL' ], [ RealName => 'NAME' ] ) {
        my ( $attribute, $header ) = @$_;
        my $value = header( $env, $header );
        $about{$attribute} = $value if $value ne '';
    }
    return %about;
}

*RT::Interface::Web::WebRemoteUserAutocreateInfo = sub { return { about( RT::Interface::Web::RequestENV() ) } };

# REST 2.0 signs in on its own, by RT's session, a token or a password, and does not know REMOTE_USER. Here it does, and
# nothing else: an RT session left over from the person before would otherwise answer for the one who is here now.
require RT::REST2::Middleware::Auth;
@RT::REST2::Middleware::Auth::auth_priority = ('login_from_doorward');
*RT::REST2::Middleware::Auth::login_from_doorward = sub {
    my ( undef, $env ) = @_;
    my $name = lc( $env->{REMOTE_USER} // '' ) or return;
    my $user = RT::CurrentUser->new;
    $user->Load($name);
    if ( !$user->id && RT->Config->Get('WebRemoteUserAutocreate') ) {
        RT::User->new( RT->SystemUser )->Create( Name => $name, Gecos => $name, about($env) );
        $user->Load($name);
    }
    return $user->id && !$user->Disabled ? $user : undef;
};

# RT hides its logout where it does not do the login. The way out is Doorward's.
require RT::Interface::Web::MenuBuilder;
for my $build (qw(BuildMainNav BuildSelfServiceNav)) {
    no strict 'refs';
    my $original = \&{"RT::Interface::Web::MenuBuilder::$build"};
    *{"RT::Interface::Web::MenuBuilder::$build"} = sub {
        my ( undef, $top ) = @_;
        my @result = $original->(@_);
        my $me = $top->child('preferences');
        $me->child( logout => title => HTML::Mason::Commands::loc('Logout'), path => RT->Config->Get('LogoutURL'), sort_order => 99 )
            if $me;
        return @result;
    };
}

return sub {
    my ($env) = @_;
    my $sent = delete $env->{HTTP_X_DOORWARD_SECRET};    # before anything can fail and show it
    my $from_doorward = eval { from_doorward($sent) };
    if ( !defined $from_doorward ) {
        $env->{'psgi.errors'}->print($@);
        return answer( 503, 'The secret that this Request Tracker shares with Doorward cannot be read.' );
    }
    delete @{$env}{qw(REMOTE_USER AUTH_TYPE HTTP_AUTHORIZATION)};
    if ( !$from_doorward ) {
        delete @{$env}{ grep { /\AHTTP_(?:X_DOORWARD_|X_FORWARDED|FORWARDED|COOKIE)/ } keys %$env };
        # Mail comes in from rt-mailgate on this host, which knows no person. Doorward lets nobody reach this from outside.
        return $rt->($env) if $env->{PATH_INFO} eq '/REST/1.0/NoAuth/mail-gateway';
        return answer( 403, 'This Request Tracker is reached through Doorward only.' );
    }
    if ( !length( $env->{HTTP_X_DOORWARD_USER} // '' ) && $env->{PATH_INFO} =~ m{\A/NoAuth/(?:rss|iCal)/} ) {
        # A feed, which a site may declare public: it is signed for one person in its own address.
        delete $env->{HTTP_COOKIE};
        return $rt->($env);
    }
    my ( $name, $why_not ) = person($env);
    return answer( 403, $why_not ) unless defined $name;
    $env->{REMOTE_USER} = $name;
    $env->{AUTH_TYPE}   = 'Doorward';
    $env->{REMOTE_ADDR} = $1 if ( $env->{HTTP_X_FORWARDED_FOR} // '' ) =~ /\A([0-9a-fA-F.:]+)\z/;
    $env->{SERVER_PORT} = $1 if ( $env->{HTTP_X_FORWARDED_PORT} // '' ) =~ /\A([0-9]{1,5})\z/;
    $env->{'psgi.url_scheme'} = 'https' if ( $env->{HTTP_X_FORWARDED_PROTO} // '' ) eq 'https';
    return $rt->($env);
};
