# Reads requests from standard input ("TYPE-LENGTH BODY-LENGTH\n", the content type, the body) and prints what CGI.pm or
# Plack makes of each: fields as hexadecimal "name=value", separated by spaces.
use strict;
use warnings;
use CGI ();
use Plack::Request ();
use HTTP::Entity::Parser ();
use HTTP::Entity::Parser::MultiPart ();

$SIG{__WARN__} = sub { };
$CGI::LIST_CONTEXT_WARN = 0;
my $parser = shift @ARGV;
binmode STDIN;
$| = 1;
open my $in, '<&', \*STDIN or die $!;
binmode $in;
while (defined(my $line = <$in>)) {
    my ($tl, $bl) = split ' ', $line;
    read $in, my($type), $tl;
    read $in, my($body), $bl;
    $body = '' unless defined $body;
    my @pairs;
    eval {
        local $SIG{ALRM} = sub { die "slow\n" };
        alarm 5;
        if ($parser eq 'cgi') {
            %ENV = (%ENV, REQUEST_METHOD => 'POST', CONTENT_TYPE => $type, CONTENT_LENGTH => length $body, QUERY_STRING => '');
            open my $fh, '<', \$body or die $!;
            local *STDIN = $fh;
            CGI::initialize_globals();
            my $q = CGI->new;
            for my $name ($q->multi_param) {
                for my $v ($q->multi_param($name)) {
                    push @pairs, $name, "$v" unless ref $v; # a file
                }
            }
        } else {
            open my $fh, '<', \$body or die $!;
            my $env = { REQUEST_METHOD => 'POST', CONTENT_TYPE => $type, CONTENT_LENGTH => length $body, QUERY_STRING => '', 'psgi.input' => $fh };
            my $r = Plack::Request->new($env);
            @pairs = $r->body_parameters->flatten;
        }
        alarm 0;
    };
    alarm 0;
    my @out;
    while (@pairs) {
        my ($n, $v) = splice @pairs, 0, 2;
        for ($n, $v) { $_ = '' unless defined; utf8::encode($_) if utf8::is_utf8($_); }
        push @out, unpack('H*', $n) . '=' . unpack('H*', $v);
    }
    print join(' ', @out), "\n";
}
