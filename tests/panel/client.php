<?php
// A client as the field writes it: curl, a form post, no redirects followed, JSON decoded.
[, $url, $key, $service] = $argv;

function call($url, $fields)
{
    $parts = [];
    foreach ($fields as $name => $value) {
        $parts[] = $name . '=' . urlencode($value);
    }
    $ch = curl_init($url);
    curl_setopt($ch, CURLOPT_RETURNTRANSFER, 1);
    curl_setopt($ch, CURLOPT_POST, 1);
    curl_setopt($ch, CURLOPT_HEADER, 0);
    curl_setopt($ch, CURLOPT_TIMEOUT, 10);
    curl_setopt($ch, CURLOPT_POSTFIELDS, join('&', $parts));
    curl_setopt($ch, CURLOPT_USERAGENT, 'Mozilla/4.0 (compatible; MSIE 5.01; Windows NT 5.0)');
    $result = curl_exec($ch);
    curl_close($ch);
    return json_decode($result);
}

$told = [];
$told['services'] = call($url, ['key' => $key, 'action' => 'services']);
$told['add'] = call($url, [
    'key' => $key, 'action' => 'add', 'service' => $service,
    'link' => 'https://example.com/profile', 'quantity' => 1000,
]);
$order = $told['add']->order;
$told['status'] = call($url, ['key' => $key, 'action' => 'status', 'orders' => "$order,1"]);
$told['refill'] = call($url, ['key' => $key, 'action' => 'refill', 'orders' => $order]);
$told['refill_status'] = call($url, ['key' => $key, 'action' => 'refill_status', 'refills' => 1]);
$told['balance'] = call($url, ['key' => $key, 'action' => 'balance']);
$told['cancel'] = call($url, ['key' => $key, 'action' => 'cancel', 'orders' => $order]);
echo json_encode($told);
