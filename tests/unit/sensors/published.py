"""What programs of phones and Macs printed, as their owners published it."""

from __future__ import annotations

#: A Samsung A52 5G with Android 12: https://android.stackexchange.com/questions/246774 (CC BY-SA). The figures of the
#: cached temperatures are left out here where they repeat those of the hardware layer.
SAMSUNG_A52 = """IsStatusOverride: false
ThermalEventListeners:
        callbacks: 1
        killed: false
        broadcasts count: -1
ThermalStatusListeners:
        callbacks: 4
        killed: false
        broadcasts count: -1
Thermal Status: 0
Cached temperatures:
        Temperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
        Temperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
HAL Ready: true
HAL connection:
        ThermalHAL 2.0 connected: yes
Current temperatures from HAL:
        Temperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
        Temperature{mValue=23.8, mType=2, mName=BAT, mStatus=0}
        Temperature{mValue=24.7, mType=3, mName=LRB, mStatus=0}
        Temperature{mValue=25.7, mType=5, mName=PA, mStatus=0}
        Temperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
        Temperature{mValue=0.0, mType=4, mName=USB, mStatus=0}
Current cooling devices from HAL:
Temperature static thresholds from HAL:
"""

#: An NVIDIA Shield TV under load: https://github.com/bryanroscoe/shield_optimizer/issues/6. It reports that the cached
#: 37 °C are stale, and that the hardware layer says 66.5 °C below them; of that part only this figure is told.
SHIELD_TV = """Thermal Status: 0
Cached temperatures:
        Temperature{mValue=36.0, mType=1, mName=GPU, mStatus=0}
        Temperature{mValue=37.0, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
HAL connection:
Current temperatures from HAL:
        Temperature{mValue=66.5, mType=0, mName=CPU0, mStatus=0}
"""

#: A MacBook Pro of 2011 without a battery, at about 50 °C and not hot at all: a question at Ask Different, kept at
#: https://newbetuts.com/407192-where-does-the-pmset-cpu-speed-limit-variable-come-from-and-how-to-modify-it
MACBOOK_WITHOUT_BATTERY = """Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
2020-11-24 13:10:40 +0100 CPU Power notify
\tCPU_Scheduler_Limit \t= 100
\tCPU_Available_CPUs \t= 8
\tCPU_Speed_Limit \t= 35
"""

#: A Samsung Galaxy Tab A7 Lite, of the same answer as the A52's: only the lines that it shows.
SAMSUNG_TAB_A7 = """Thermal Status: 0
Current temperatures from HAL:
        Temperature{mValue=29.1, mType=0, mName=CPU, mStatus=0}
Current cooling devices from HAL:
"""

#: Two phones of Google's test farm, which does not name them, by its own tests, shortened; the first has the sensors of
#: a Tensor, the second those of a Snapdragon:
#: https://github.com/google/skia-buildbot, machine/go/machine/processor/impl_test.go
PIXEL_TENSOR = """IsStatusOverride: false
Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=61.000004, mType=0, mName=BIG, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=8900.0, mType=7, mName=soft_ocp_gpu, mStatus=0}
\tTemperature{mValue=25.000002, mType=9, mName=TPU, mStatus=0}
\tTemperature{mValue=1300.0, mType=6, mName=smpl_gm, mStatus=0}
\tTemperature{mValue=0.0, mType=8, mName=soc, mStatus=0}
\tTemperature{mValue=26.000002, mType=0, mName=BIG, mStatus=0}
\tTemperature{mValue=27.000002, mType=0, mName=LITTLE, mStatus=0}
\tTemperature{mValue=-0.117000006, mType=-1, mName=USB2-MINUS-USB, mStatus=0}
\tTemperature{mValue=24.83324, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
\tTemperature{mValue=1.0, mType=6, mName=battery_cycle, mStatus=0}
\tTemperature{mValue=22.1, mType=2, mName=battery, mStatus=0}
Current cooling devices from HAL:
"""
PIXEL_SNAPDRAGON = """Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=46.100002, mType=0, mName=cpu0-silver-usr, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{mValue=28.000002, mType=2, mName=battery, mStatus=0}
\tTemperature{mValue=33.800003, mType=0, mName=cpu0-gold-usr, mStatus=0}
\tTemperature{mValue=44.1, mType=0, mName=cpu1-silver-usr, mStatus=0}
\tTemperature{mValue=30.147001, mType=3, mName=mb-therm-monitor, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=1, mName=battery}
"""
PIXEL_BATTERY = """Current Battery Service state:
  AC powered: true
  USB powered: false
  Wireless powered: false
  Max charging current: 1500000
  Max charging voltage: 5000000
  Charge counter: 2448973
  status: 2
  health: 2
  present: true
  level: 95
  scale: 100
  voltage: 4248"""

#: A Samsung phone with lines of its maker below: https://github.com/zebrunner/mcloud-device/issues/150, shortened.
SAMSUNG_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 0
  Charge counter: 2967000
  status: 5
  health: 2
  present: true
  level: 100
  scale: 100
  voltage: 4312
  temperature: 309
  technology: Li-ion
  batteryMiscEvent: 65536
  LED Charging: true
  current now: 0
  charge counter: 2967000
USE_FAKE_BATTERY: false
LLB MAN:
BatteryInfoBackUp
  mSavedBatteryAsoc: 96
"""
#: An older Samsung, which counts no charge: https://gh0st.tistory.com/6, shortened.
SAMSUNG_BATTERY_OLDER = """Current Battery Service state:
  mBootCompleted: true
  AC powered: false
  USB powered: true
  Wireless powered: false
  Charge counter: 0
  status: 2
  health: 2
  present: true
  level: 84
  scale: 100
  voltage: 4063
  temperature: 326
  technology: Li-ion
  charge counter: 0
"""
#: A Xiaomi Redmi Note 14, which counts its charge in mAh: https://github.com/d4rken-org/amply/pull/52, shortened.
REDMI_BATTERY = """Current Battery Service state:
  AC powered: true
  USB powered: false
  Wireless powered: false
  Dock powered: false
  Max charging current: 12400000
 Time when the latest updated value of the Max charging current was sent via battery changed broadcast: +3h50m5s130ms
  Charge counter: 4274
  status: 2
  health: 2
  present: true
  level: 80
  scale: 100
  voltage: 4228
 The last voltage value sent via the battery changed broadcast: 4232
  temperature: 364
  technology: Li-poly
  Charging state: 0
  Capacity level: 4
MiuiBatteryService first usage time:
  mSetBatteryUsageTimeCount=56
"""
#: A box without a battery, which tells volts and degrees: http://ppmy.cn/news/1423084.html, its line breaks put back.
BOX_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: false
  Wireless powered: false
  Charge counter: 1000
  status: 4
  health: 2
  present: true
  level: 90
  scale: 100
  voltage: 13
  temperature: 26
  technology: Li-ion
"""

#: What `powermetrics` printed on Macs, shortened to the lines around its powers. An M1 with macOS 12, of which two
#: samples: https://github.com/mlco2/codecarbon, tests/test_data/mock_powermetrics_log.txt
POWERMETRICS_M1 = """Machine model: MacBookAir10,1
OS version: 21G115
Boot arguments:\x20
Boot time: Fri Nov 10 09:43:28 2023



*** Sampled system activity (Fri Nov 10 12:37:08 2023 +0100) (104.51ms elapsed) ***


**** Processor usage ****

E-Cluster Power: 105 mW
E-Cluster HW active frequency: 1483 MHz
P-Cluster Power: 842 mW

System instructions per clock: 1.27411
ANE Power: 0 mW
DRAM Power: 220 mW
CPU Power: 947 mW
GPU Power: 153 mW
Package Power: 1473 mW


*** Sampled system activity (Fri Nov 10 12:37:08 2023 +0100) (104.81ms elapsed) ***


**** Processor usage ****

ANE Power: 0 mW
DRAM Power: 162 mW
CPU Power: 420 mW
GPU Power: 67 mW
Package Power: 773 mW
"""
#: An M1 Max with macOS 13, an M2 with macOS 12 whose first sample has no power, and an Intel with macOS 14:
#: https://github.com/joular/joularjx, src/test/resources/powermetrics-sonoma-m1max.txt, -monterey-m2, -sonoma-intel
POWERMETRICS_M1_MAX = """Machine model: MacBookPro18,4
OS version: 22G120

*** Sampled system activity (Mon Oct 23 16:51:12 2023 +0200) (1012.07ms elapsed) ***

*** Running tasks ***

Name                               ID     CPU ms/s  samp ms/s  User%  Deadlines (<2 ms, 2-5 ms)
WindowServer                       391    281.98    283.25     82.97  1.97    0.00

**** Processor usage ****

E-Cluster Online: 100%
CPU 0 frequency: 1527 MHz
System instructions per clock: 0.841601
CPU Power: 211 mW
GPU Power: 147 mW
ANE Power: 0 mW
Combined Power (CPU + GPU + ANE): 359 mW
"""
POWERMETRICS_M2 = """Machine model: Mac14,2
OS version: 21G72

*** Sampled system activity (Mon Oct 23 16:51:12 2023 +0200) (1012.07ms elapsed) ***

*** Running tasks ***

ALL_TASKS                          -2     1222.65   1222.65    65.70  1161.97 15.81

*** Sampled system activity (Tue Nov 28 11:28:55 2023 +0100) (1002.80ms elapsed) ***


**** Processor usage ****

E-Cluster Power: 6 mW
P-Cluster Power: 4 mW
ANE Power: 0 mW
DRAM Power: 19 mW
DCS Power: 36 mW
CPU Power: 10 mW
GPU Power: 0 mW
Package Power: 25 mW
"""
POWERMETRICS_INTEL = """Machine model: MacBookPro15,1
SMC version: Unknown

*** Sampled system activity (Mon Jan 15 20:18:34 2024 +0100) (1002.80ms elapsed) ***


**** Processor usage ****

Intel energy model derived package power (CPUs+GT+SA): 4.87W

LLC flushed residency: 45.7%

*** Sampled system activity (Mon Jan 15 20:18:35 2024 +0100) (1004.07ms elapsed) ***

Intel energy model derived package power (CPUs+GT+SA): 3.43W

*** Sampled system activity (Mon Jan 15 20:18:36 2024 +0100) (1003.46ms elapsed) ***

Intel energy model derived package power (CPUs+GT+SA): 3.38W
"""
