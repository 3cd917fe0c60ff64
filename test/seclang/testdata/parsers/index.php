<?php
// As perl.pl, for PHP's own server: the fields of one request.
$out = [];
$walk = function ($name, $value) use (&$walk, &$out) {
    if (is_array($value)) {
        foreach ($value as $key => $inner) {
            $walk($name . "[" . $key . "]", $inner);
        }
        return;
    }
    $out[] = bin2hex($name) . "=" . bin2hex($value);
};
foreach ($_POST as $name => $value) {
    $walk($name, $value);
}
echo implode(" ", $out), "\n";
