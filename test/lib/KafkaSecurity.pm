
=pod

=head1 NAME

KafkaSecurity - a Kafka broker with TLS, SASL and ACLs for TAP tests

=head1 SYNOPSIS

  use PostgreSQL::Test::Utils;
  use KafkaSecurity;

  my $broker = KafkaSecurity->new;            # a KafkaBroker
  my $topic = $broker->create_topic('t');     # as a super user, in plaintext
  $broker->allow('User:alice', '--producer', '--consumer', '--group' => '*',
      '--topic' => $topic);

  $broker->server($node, 'tls', 'SASL_SSL', "sasl_mechanism 'PLAIN'");
  KafkaSecurity::mapping($node, 'PUBLIC', 'tls', KafkaSecurity::password('alice'));
  KafkaSecurity::mapping($node, 'PUBLIC', 'mutual', KafkaSecurity::key('alice'));

=head1 DESCRIPTION

The listeners, and who is known at each:

  PLAINTEXT        everybody is a super user; for the methods of KafkaBroker
  SASL_PLAINTEXT   PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER
  SASL_SSL         the same
  MUTUAL           TLS with a certificate of the client: User:CN=alice
  EXPIRED          the broker's certificate has expired
  STRANGE          the broker's certificate is for another host

Users are admin (a super user), alice, bob and eve, whose passwords are their
names and "-secret".  OAUTHBEARER takes unsecured tokens.

Certificates are made with openssl when they are first needed, for each test
anew.

=cut

package KafkaSecurity;

use strict;
use warnings FATAL => 'all';

use parent 'KafkaBroker';

use IPC::Run ();
use KafkaCluster;
use PostgreSQL::Test::Utils ();

my $login = 'org.apache.kafka.common.security';

=head1 METHODS

=over

=item KafkaSecurity->new(name => ..., listeners => [ ... ])

Arguments are those of KafkaBroker->new; listeners come on top.

=cut

sub new
{
	my ($class, %args) = @_;
	my $certificates = certificates();
	my %users = map { $_ => password_of($_) } qw(admin alice bob eve);
	my %property = (
		'sasl.enabled.mechanisms' => 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
		'authorizer.class.name' =>
		  'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
		'super.users' => 'User:admin;User:ANONYMOUS',
		'ssl.keystore.type' => 'PEM',
		'ssl.truststore.type' => 'PEM',
		'ssl.truststore.location' => "$certificates/ca.pem",
		'listener.name.mutual.ssl.client.auth' => 'required',
		%{ delete $args{property} // {} });
	my %keystore = (
		sasl_ssl => 'broker',
		mutual => 'broker',
		expired => 'expired',
		strange => 'strange');

	foreach my $listener (sort keys %keystore)
	{
		$property{"listener.name.$listener.ssl.keystore.location"} =
		  "$certificates/$keystore{$listener}.keystore.pem";
	}
	foreach my $listener ('sasl_plaintext', 'sasl_ssl')
	{
		my $jaas = "listener.name.$listener.%s.sasl.jaas.config";
		my $plain = join ' ', map { qq(user_$_="$users{$_}") } sort keys %users;

		$property{ sprintf $jaas, 'plain' } =
		  "$login.plain.PlainLoginModule required $plain;";
		$property{ sprintf $jaas, $_ } = "$login.scram.ScramLoginModule required;"
		  for 'scram-sha-256', 'scram-sha-512';
		$property{ sprintf $jaas, 'oauthbearer' } =
		  "$login.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";";
	}
	return $class->SUPER::new(
		%args,
		listeners => [
			'SASL_PLAINTEXT', 'SASL_SSL', 'MUTUAL:SSL', 'EXPIRED:SSL', 'STRANGE:SSL',
			@{ delete $args{listeners} // [] } ],
		scram => \%users,
		property => \%property);
}

=item $broker->server($node, $name, $listener, @options)

Creates a foreign server for one of the listeners; options are SQL.  Unless they
say otherwise it trusts the test's authority.

=cut

sub server
{
	my ($self, $node, $name, $listener, @options) = @_;
	my %protocol = map { $_ => $_ } qw(PLAINTEXT SASL_PLAINTEXT SASL_SSL);
	my $protocol = $protocol{$listener} // 'SSL';

	my $authority = PostgreSQL::Test::Utils::slurp_file(certificates() . '/ca.pem');

	push @options, "security_protocol '$protocol'" unless grep { /^security_protocol/ } @options;
	push @options, "ssl_ca_pem '$authority'" unless grep { /^ssl_ca_pem/ } @options;
	KafkaCluster::server($node, $name, $self->bootstrap($listener), @options);
	return;
}

=item KafkaSecurity::mapping($node, $role, $server, $options)

Creates a user mapping; options are SQL, such as the functions below return.

=cut

sub mapping
{
	my ($node, $role, $server, $options) = @_;

	$node->safe_psql('postgres',
		"CREATE USER MAPPING FOR $role SERVER $server OPTIONS ($options)");
	return;
}

=item KafkaSecurity::password($user)

Name and password as options of a user mapping.

=cut

sub password
{
	my ($user) = @_;

	return "sasl_username '$user', sasl_password '" . password_of($user) . "'";
}

sub password_of { return "$_[0]-secret"; }

=item KafkaSecurity::key($user)

Certificate and key as options of a user mapping.

=cut

sub key
{
	my ($user) = @_;
	my $dir = certificates();
	my %file = map { $_ => PostgreSQL::Test::Utils::slurp_file("$dir/$user.$_") } qw(pem key);

	return "ssl_certificate_pem '$file{pem}', ssl_key_pem '$file{key}'";
}

=item KafkaSecurity::certificates()

The folder with all certificates: ca.pem; NAME.pem and NAME.key of broker,
expired, strange, alice, bob and rogue, which an unknown authority has signed.

=back

=cut

my $certificates;

sub certificates
{
	return $certificates if defined $certificates;

	my $dir = PostgreSQL::Test::Utils::tempdir();
	my $host = "subjectAltName=DNS:localhost,IP:127.0.0.1";

	_authority($dir, 'ca');
	_authority($dir, 'unknown');
	_certificate($dir, 'ca', 'broker', $host, 30);
	_certificate($dir, 'ca', 'expired', $host, -1);
	_certificate($dir, 'ca', 'strange', 'subjectAltName=DNS:strange.example', 30);
	_certificate($dir, 'ca', 'alice', 'subjectAltName=DNS:alice', 30);
	_certificate($dir, 'ca', 'bob', 'subjectAltName=DNS:bob', 30);
	_certificate($dir, 'unknown', 'rogue', 'subjectAltName=DNS:rogue', 30);
	return $certificates = $dir;
}

sub _authority
{
	my ($dir, $name) = @_;

	_openssl($dir, 'req', '-x509', _new_key($name), '-days' => 30,
		'-out' => "$name.pem");
	return;
}

# Makes NAME.key, NAME.pem and, for Kafka, NAME.keystore.pem.
sub _certificate
{
	my ($dir, $authority, $name, $extension, $days) = @_;

	PostgreSQL::Test::Utils::append_to_file("$dir/$name.extensions",
		"$extension\nextendedKeyUsage=serverAuth,clientAuth\n");
	_openssl($dir, 'req', _new_key($name), '-out' => "$name.request");
	_openssl($dir, 'x509', '-req', '-in' => "$name.request",
		'-CA' => "$authority.pem", '-CAkey' => "$authority.key", '-CAcreateserial',
		'-days' => $days, '-extfile' => "$name.extensions", '-out' => "$name.pem");
	PostgreSQL::Test::Utils::append_to_file("$dir/$name.keystore.pem",
		join '', map { PostgreSQL::Test::Utils::slurp_file("$dir/$name.$_") } qw(key pem));
	return;
}

sub _new_key
{
	my ($name) = @_;

	return ('-newkey' => 'ec', '-pkeyopt' => 'ec_paramgen_curve:P-256', '-nodes',
		'-subj' => "/CN=$name", '-keyout' => "$name.key");
}

sub _openssl
{
	my ($dir, @words) = @_;
	my $output = '';

	IPC::Run::run([ 'openssl', @words ], '<', \undef, '>&', \$output,
		init => sub { chdir $dir or die "$dir: $!" })
	  or die "openssl @words failed:\n$output";
	return;
}

1;
